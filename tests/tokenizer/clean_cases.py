"""Lines with personal data, where what stands in ⟦⟧ must go and the rest stay, and medical lines that must stay whole.

Every name and number is invented.

Left out because nobody could decide them from the text alone: ten digits that start with 0 without a word for telephone
(0312345678 is a number of Tokyo as well as of a patient), 03-12345678 and 0123-456789 (groups that telephones and
laboratories both use), 0467 12 3456 with nothing but spaces, twelve digits that pass as My Number without its groups or
name, and 123-4567 without an address.
"""

PERSONAL = [
    # area code, exchange, subscriber in the usual groups
    ("telephone", "連絡先は⟦03-1234-5678⟧です"),
    ("telephone", "東京⟦03(1234)5678⟧まで"),
    ("telephone", "⟦(03)1234-5678⟧へ"),
    ("telephone", "⟦(03) 1234-5678⟧へ"),
    ("telephone", "横浜の薬局、⟦045-123-4567⟧に照会"),
    ("telephone", "⟦045(123)4567⟧に照会"),
    ("telephone", "大阪(⟦06-6123-4567⟧)に照会"),
    ("telephone", "紹介元は⟦0467-12-3456⟧"),
    ("telephone", "紹介元は⟦0467(12)3456⟧"),
    ("telephone", "紹介元は⟦(0467)12-3456⟧"),
    ("telephone", "島の診療所⟦04992-1-2345⟧"),
    ("telephone", "島の診療所⟦(04992)1-2345⟧"),
    ("telephone", "札幌は⟦011-234-5678⟧、京都は⟦075-234-5678⟧"),
    ("telephone", "那覇⟦098-876-5432⟧、福岡⟦092-876-5432⟧"),
    ("telephone", "代表⟦042-345-6789⟧(内線123)"),
    ("telephone", "TEL⟦03-1234-5678⟧ FAX⟦03-1234-5679⟧"),
    ("telephone", "Tel.⟦03-1234-5678⟧"),
    ("telephone", "TEL/FAX:⟦03-1234-5678⟧"),
    ("telephone", "TEL-⟦03-1234-5678⟧"),
    ("telephone", "・⟦03-1234-5678⟧"),
    # mobile, IP, free dial
    ("telephone", "長女の携帯は⟦090-1234-5678⟧"),
    ("telephone", "長女は⟦080-1234-5678⟧"),
    ("telephone", "長女は⟦070-1234-5678⟧"),
    ("telephone", "長女は⟦090(1234)5678⟧"),
    ("telephone", "長女は⟦09012345678⟧"),
    ("telephone", "長女は⟦0901234-5678⟧"),
    ("telephone", "長女は⟦090-12345678⟧"),
    ("telephone", "施設は⟦050-1234-5678⟧"),
    ("telephone", "窓口⟦0120-123-456⟧"),
    ("telephone", "窓口⟦0120-12-3456⟧"),
    ("telephone", "窓口⟦0120(123)456⟧"),
    ("telephone", "窓口⟦0120-123456⟧"),
    ("telephone", "窓口⟦0120123456⟧"),
    ("telephone", "窓口⟦0120 123 456⟧"),
    ("telephone", "窓口⟦0800-123-4567⟧"),
    ("telephone", "窓口⟦0570-012-345⟧"),
    ("telephone", "窓口⟦0570-01-2345⟧"),
    # spaces, dots, dashes, long vowel marks
    ("telephone", "次男⟦090 1234 5678⟧"),
    ("telephone", "薬局⟦03 1234 5678⟧"),
    ("telephone", "薬局⟦045 123 4567⟧"),
    ("telephone", "薬局⟦03 - 1234 - 5678⟧"),
    ("telephone", "薬局⟦03 1234-5678⟧"),
    ("telephone", "薬局⟦0467 12-3456⟧"),
    ("telephone", "薬局⟦03.1234.5678⟧"),
    ("telephone", "薬局⟦03・1234・5678⟧"),
    ("telephone", "薬局⟦03ー1234ー5678⟧"),
    ("telephone", "薬局⟦(03)ー1234ー5678⟧"),
    ("telephone", "薬局⟦03 ー 1234 ー 5678⟧"),
    ("telephone", "薬局⟦03−1234−5678⟧"),
    ("telephone", "薬局⟦03‐1234‐5678⟧"),
    ("telephone", "薬局⟦03–1234–5678⟧"),
    ("telephone", "薬局⟦03―1234―5678⟧"),
    ("telephone", "薬局⟦03〔1234〕5678⟧"),
    # +81
    ("telephone", "from abroad ⟦+81-3-1234-5678⟧"),
    ("telephone", "from abroad ⟦+81 3 1234 5678⟧"),
    ("telephone", "from abroad ⟦+81-90-1234-5678⟧"),
    ("telephone", "from abroad ⟦+81(0)90-1234-5678⟧"),
    ("telephone", "from abroad ⟦+81 (0)3 1234 5678⟧"),
    ("telephone", "from abroad ⟦+819012345678⟧"),
    ("telephone", "from abroad ⟦(+81)3-1234-5678⟧"),
    # bare digits after a word for telephone
    ("telephone", "TEL:⟦0312345678⟧"),
    ("telephone", "tel:⟦0312345678⟧"),
    ("telephone", "℡⟦0312345678⟧"),
    ("telephone", "℡ ⟦0467-123456⟧"),
    ("telephone", "電話⟦0451234567⟧"),
    ("telephone", "電話番号は⟦0451234567⟧"),
    ("telephone", "電話番号(自宅):⟦0451234567⟧"),
    ("telephone", "電話:⟦0467 12 3456⟧"),
    ("telephone", "FAX番号 ⟦0451234567⟧"),
    ("telephone", "ファクス:⟦045-1234567⟧"),
    ("telephone", "ファックス ⟦03-12345678⟧"),
    ("telephone", "緊急連絡先 ⟦0451234567⟧"),
    ("telephone", "お問い合わせ先:⟦0451234567⟧"),
    ("telephone", "フリーダイヤル⟦0120123456⟧"),
    ("telephone", "Phone: ⟦03 12345678⟧"),
    # e-mail
    ("e_mail", "メールは⟦taro@example.com⟧まで"),
    ("e_mail", "⟦taro.yamada+clinic@mail.example.co.jp⟧へ"),
    ("e_mail", "E-mail:⟦info_1@hosp-a.or.jp⟧"),
    ("e_mail", "(⟦a@b.jp⟧)"),
    ("e_mail", "<⟦x%y@sub.example.org⟧>"),
    ("e_mail", "⟦taro[at]example.ac.jp⟧"),
    ("e_mail", "⟦taro(at)example.ac.jp⟧"),
    ("e_mail", "⟦ｔａｒｏ＠ｅｘａｍｐｌｅ．ｃｏ．ｊｐ⟧へ"),
    ("e_mail", "連絡は⟦TARO@EXAMPLE.JP⟧。"),
    ("e_mail", "⟦hanako-s@med.example-u.ac.jp⟧、次回"),
    # postal codes
    ("postal_code", "⟦〒100-0001⟧東京都"),
    ("postal_code", "⟦〒 100-0001⟧ 東京都"),
    ("postal_code", "⟦〒1000001⟧東京都"),
    ("postal_code", "⟦〒100−0001⟧東京都"),
    ("postal_code", "⟦〒:100-0001⟧"),
    ("postal_code", "⟦郵便番号:100-0001⟧"),
    ("postal_code", "⟦郵便番号 1000001⟧"),
    ("postal_code", "⟦郵便番号は100-0001⟧、"),
    ("postal_code", "⟦234-0001⟧神奈川県の施設"),
    ("postal_code", "⟦234-0001⟧ 大阪府の施設"),
    ("postal_code", "⟦234-0001⟧横浜市青葉区"),
    ("postal_code", "住所:⟦234-0001⟧"),
    ("postal_code", "施設の所在地は⟦234-0001⟧"),
    # My Number: the last digit is the check digit
    ("my_number", "⟦マイナンバー:398259791905⟧"),
    ("my_number", "⟦マイナンバー3982 5979 1905⟧を控えた"),
    ("my_number", "⟦個人番号 748337887621⟧"),
    ("my_number", "⟦個人番号は7483-3788-7621⟧です"),
    ("my_number", "⟦個人番号カード:328601290400⟧"),
    ("my_number", "カードの⟦4796-6697-2515⟧を控えた"),
    ("my_number", "カードの⟦0273 4646 8691⟧を控えた"),
    ("my_number", "控え(⟦5896-9350-4922⟧)"),
    # insurance cards
    ("insurance_card", "⟦保険者番号06130017⟧"),
    ("insurance_card", "⟦保険者番号:01130012⟧"),
    ("insurance_card", "⟦保険者番号は39130075⟧、"),
    ("insurance_card", "⟦保険者番号 138016⟧"),
    ("insurance_card", "⟦公費負担者番号:54136007⟧"),
    ("insurance_card", "⟦被保険者証番号:1234567⟧"),
    ("insurance_card", "⟦被保険者番号 12345678⟧"),
    ("insurance_card", "⟦保険証番号は1234567⟧、"),
    ("insurance_card", "⟦受給者番号:7654321⟧"),
    ("insurance_card", "⟦介護保険番号 0001234567⟧"),
    ("insurance_card", "⟦記号・番号:1234・567⟧"),
    ("insurance_card", "被保険者証の⟦記号番号 123-4567⟧"),
    ("insurance_card", "保険証 ⟦記号12-34 番号5678⟧"),
    ("insurance_card", "⟦記号:1234 番号:567(枝番)01⟧"),
    ("insurance_card", "被保険者証の⟦記号及び番号:東12・3456⟧"),
    # patients
    ("patient_id", "⟦患者ID:0012345678⟧"),
    ("patient_id", "⟦患者ID 00123456⟧の男性"),
    ("patient_id", "⟦患者番号:123456⟧"),
    ("patient_id", "⟦患者番号は12-3456-7⟧、"),
    ("patient_id", "⟦患者No.123456⟧"),
    ("patient_id", "⟦カルテ番号 A-12345⟧"),
    ("patient_id", "⟦カルテNo:98765⟧"),
    ("patient_id", "⟦診察券番号:1234567⟧"),
    ("patient_id", "⟦診察券No.1234567⟧"),
    ("patient_id", "⟦診療録番号 H23-0456⟧"),
    ("patient_id", "⟦ID:1234567⟧ 山"),
    ("patient_id", "氏名のみ。⟦ID: AB123456⟧"),
    ("patient_id", "(⟦ID:00-12-34-56⟧)"),
    ("patient_id", "⟦ID番号:1234567⟧"),
    ("patient_id", "⟦Patient ID: 0012345⟧"),
    ("patient_id", "⟦MRN: 4455667⟧"),
    ("patient_id", "⟦入院番号 20250123⟧"),
    ("patient_id", "⟦被験者識別コード:S01-0023⟧"),
    ("patient_id", "⟦患者ID:123456⟧ 2024年1月15日入院"),
    # other official numbers of a person
    ("identity_document", "⟦基礎年金番号:1234-567890⟧"),
    ("identity_document", "⟦基礎年金番号 1234567890⟧"),
    ("identity_document", "⟦運転免許証番号 第123456789012⟧号"),
    ("identity_document", "⟦旅券番号:TK1234567⟧"),
    ("identity_document", "⟦パスポート番号はTK 1234567⟧、"),
    ("identity_document", "⟦在留カード番号:AB12345678CD⟧"),
]

MEDICAL = """\
血圧 150/90 mmHg、脈拍 72/分・整
血圧120-80、脈拍60-70
血圧 150-90 mmHg
SpO2 98% (room air)
体温 38.5℃、呼吸数 20/分
体重 0.5-1.0 kg減少
身長 165.2cm、体重 58.4kg、BMI 21.4
2.5mg 1日3回
アムロジピン2.5mg 1T 1x朝食後
1-1-1(朝昼夕)で内服
朝1-昼1-夕1-眠前2
3-2-1 分3 毎食後
5-FU 500mg/m2 day1-5
0.05-0.10 mg/kg/分
0.1γ 03時より開始
10^4/μL
WBC 12,300/μL、Plt 15.4x10^4/μL
HbA1c 6.5%、血糖 110-140 mg/dL
Na 138 K 4.2 Cl 101 mEq/L
AST 35 ALT 42 LD 210 γ-GTP 55 U/L
BUN/Cr 18.5/0.92
CEA 5.0 ng/mL、CA19-9 37 U/mL
TSH 0.123-4.567 μIU/mL
pH 7.352 PaCO2 40.1 PaO2 88.2
CD4 350-500/μL
抗HBs抗体(+)、HCV-RNA(-)
HLA-A*02:01、HLA-B27陽性
T2N1M0 Stage IIB
pT3,pN2,M0,ly1,v0
ECOG PS 0-1
JCS III-300、GCS E4V5M6
NYHA II-III、CCS 2
Child-Pugh B (8点)
NIHSS 12→4
mRS 0-2が60%
EF 55% (Teichholz)
2024-01-15に入院
2024/01/15 10:30
2024.01.15 退院
24-01-15 外来
01-15-2024
R6.1.15 手術
令和6年1月15日 09:05
S45.03.12生まれ
平成元年〜平成31年
1995-1999年の5年間
2018 2019 2020の3年
2020 2021 2022の3年
2018-2019-2020
2015-2016-2017
09:00-17:00 0900-1700
06:00 12:00 18:00 24:00
1200 1600 1800 kcal
1400-1600-2000
0730 1130 1630に測定
0800 1200 1600 2000に採血
ICD-10 I63.9、C34.1、E11.9
ICD-9 250.00、434.91
K00-K93 消化器系の疾患
DPC 010060x2990401
レセプト電算コード 610406079
薬価基準収載コード 2171022F1029
YJコード 1124017F1037
承認番号 21900AMX01234000
ATC C08CA01
CAS 50-78-2、9004-10-8
JANコード 4987123456786
ISBN 978-4-12-345678-4
ISBN 4-12-345678-5
ISSN 0123-4567
DOI 10.1016/j.jjcc.2012.03.045
doi:10.1234/abcd.0312-3456
PMID: 31234567
PMCID: PMC7012345
PubMed ID: 31234567
UMIN000012345
試験ID: UMIN000012345
jRCT1031200123、jRCTs031190012
NCT01234567
JapicCTI-123456
EudraCT 2012-001234-56
JCOG0212、WJOG5208L
Gene ID: 7157
OMIM 123456
rs1234567890
NM_000546.6:c.215C>G
chr7:55181378-55191822
c.1799T>A (p.V600E)
46,XX,t(9;22)(q34;q11.2)
J Clin Oncol 2012;30:1234-45
N Engl J Med 2009;360:1234-1245
Lancet 1998;351(9112):1225-33
検体番号 0123-45
検体番号 0123-45-6789
検体ID:03-1234-5678
ロット番号 03-1234-5678
Lot 0312345678
病理番号 H24-01234
標本番号 024-01-1234
受付番号 0120-123-456
製造番号 0451234567
検体 0312345678
0306-40615
00-0000-0000
01-2345-6789
0-1-2-3
1-2-3の順に
第3-5肋骨、L4/5、C5-6
Th12-L1圧迫骨折
#1 糖尿病
#高血圧 #脂質異常症
歯#16、針#27G
6Fr-23cm、18G-38mm
3-0 Vicryl、5-0 PDS
JIS T 0601-1-2
ISO 13485:2016
ドプラ周波数 2.5-5.0 MHz
TR 60Gy/30Fr
100-120-140 mA
120-3456 単位
123-4567を合成した
化合物 234-0001の構造
2T@朝、1T@夕
1T@8.30
HR 80@3.5
C6H12O6 180.16 g/mol
分子量 1234.5678
1,234,567,890円
p<0.05、|r|=0.7、95%CI 1.03-1.45
HR 0.78 (0.61-0.99)
OR 1.23 [95%CI 1.01-1.50]
n=1234 5678 9012
1234-5678-9012
0.123456789012
患者ID 12の経過
患者番号3は軽快
患者番号 1234.5mg
患者1-3はステロイド投与
患者の番号札12345
症例番号12、症例3-5
ID: A12
ID3名、ID群1234例
番号1234
表の記号1、番号2
保険者番号12345678
被保険者1234人
保険証の枚数1234
受給者1234567人
入院1234例、外来5678例
個人番号 123456789012
マイナンバー制度2015年開始
免許証番号制度
パスポート2000冊
郵便番号簿1234冊
電話相談 0.5-1.0時間
電話で1日3回、10分
電話再診 12点、外来 73点
TEL AVIV 2012345678
連絡先なし 検体0123456789
ハーセプチン150mg 8mg/kg→6mg/kg
リバーロキサバン15mg 1x
eGFR 45.6 mL/分/1.73m2
Fr. 12-14、IVC径 15/7 mm
尿 pH 6.0 比重 1.015
1/2生食 500mL 40mL/時
ラクテック 500mL x 3
CTDIvol 12.34 mGy
SUVmax 12.3→4.5
""".splitlines()

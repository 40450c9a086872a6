"""What the APIs of JobSet (v1alpha2), Job (batch/v1) and Pod (core/v1) allow in our manifests, as far as we use them.

Written down from the types in kubernetes-sigs/jobset `api/jobset/v1alpha2/jobset_types.go` and the Kubernetes API
reference. A field that does not stand here is an error: the API server drops or refuses what it does not know.
"""

# ruff: noqa: N815 (the API's own names)
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""DNS label, RFC 1123."""
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
RuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: Label
    namespace: Label
    annotations: dict[str, str] = {}


class Variable(Strict):
    name: VariableName
    value: str


class ContainerPort(Strict):
    containerPort: Port


class Resources(Strict):
    limits: dict[Literal["nvidia.com/gpu", "google.com/tpu"], Count]


class VolumeMount(Strict):
    name: Label
    mountPath: Annotated[str, StringConstraints(pattern="^/")]


class Container(Strict):
    name: Label
    image: str
    env: list[Variable] = []
    ports: list[ContainerPort]
    resources: Resources
    volumeMounts: list[VolumeMount]
    command: list[str]


class Claim(Strict):
    claimName: Label


class EmptyDirectory(Strict):
    medium: Literal["", "Memory"]


class Volume(Strict):
    name: Label
    persistentVolumeClaim: Claim | None = None
    emptyDir: EmptyDirectory | None = None


class PodSpec(Strict):
    # A podFailurePolicy is allowed with "Never" alone.
    restartPolicy: Literal["Never"]
    terminationGracePeriodSeconds: Count
    nodeSelector: dict[str, str] = {}
    containers: list[Container]
    volumes: list[Volume]

    @model_validator(mode="after")
    def mounts_are_volumes(self) -> "PodSpec":
        names = {volume.name for volume in self.volumes}
        assert all(mount.name in names for container in self.containers for mount in container.volumeMounts)
        return self


class PodTemplate(Strict):
    spec: PodSpec


class OnExitCodes(Strict):
    containerName: Label
    operator: Literal["In", "NotIn"]
    values: Annotated[list[Annotated[int, Field(ge=1, le=255)]], Field(min_length=1, max_length=255)]


class PodFailureRule(Strict):
    action: Literal["FailJob", "Ignore", "Count"]
    onExitCodes: OnExitCodes


class PodFailurePolicy(Strict):
    rules: Annotated[list[PodFailureRule], Field(max_length=20)]


class JobSpec(Strict):
    completionMode: Literal["Indexed"]
    parallelism: Count
    completions: Count
    backoffLimit: Literal[0]
    podFailurePolicy: PodFailurePolicy
    template: PodTemplate

    @model_validator(mode="after")
    def all_run_at_once(self) -> "JobSpec":
        assert self.parallelism == self.completions
        names = {container.name for container in self.template.spec.containers}
        assert all(rule.onExitCodes.containerName in names for rule in self.podFailurePolicy.rules)
        return self


class JobTemplate(Strict):
    spec: JobSpec


class ReplicatedJob(Strict):
    name: Label
    replicas: Count
    template: JobTemplate


class FailureRule(Strict):
    name: RuleName
    action: Literal["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]
    # Reasons that batch/v1 gives for a failed Job.
    onJobFailureReasons: list[Literal["BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "PodFailurePolicy"]]


class FailurePolicy(Strict):
    maxRestarts: Annotated[int, Field(ge=0)]
    rules: list[FailureRule]


class Network(Strict):
    enableDNSHostnames: bool
    publishNotReadyAddresses: bool


class JobSetSpec(Strict):
    network: Network
    failurePolicy: FailurePolicy
    replicatedJobs: list[ReplicatedJob]


class JobSet(Strict):
    apiVersion: Literal["jobset.x-k8s.io/v1alpha2"]
    kind: Literal["JobSet"]
    metadata: Metadata
    spec: JobSetSpec

"""The protocols: how questions are asked and scored. Figures of different ones never stand in one table."""

"""What one timed process trains: our engine in its variants, and others' recipes, all on the same batches."""

from __future__ import annotations

from agcli.timing.arm import RIVALS, VARIANTS, Arm, ArmSpec, Variant
from agcli.timing.course import WARM_UP_EPOCH, Course

__all__ = ["RIVALS", "VARIANTS", "WARM_UP_EPOCH", "Arm", "ArmSpec", "Course", "Variant", "make_arm"]


def make_arm(spec: ArmSpec) -> Arm:
    """Build an arm.

    Raises:
        AgError: as loading, attaching or the engine raise it.
    """
    from agcli.timing.ours import our_engine
    from agcli.timing.rivals import authors_recipe, hugging_face_trainer

    makers = {"authors": authors_recipe, "hf-trainer": hugging_face_trainer, "hf-guided": hugging_face_trainer}
    return makers.get(spec.variant, our_engine)(spec)

"""How hard hypothesis tries: `pytest --hypothesis-profile=thorough tests/property` tries harder.

There is no deadline for one example, as a busy machine would miss it now and then.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("quick", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("quick")

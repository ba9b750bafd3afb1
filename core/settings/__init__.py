"""Every setting of a run, declared once. From here come controls, flags, YAML keys, checks and the documentation."""

from core.settings.groups import RunSettings
from core.settings.recipe import from_dict, load_recipe, to_yaml
from core.settings.table import SettingField, fields

__all__ = ["RunSettings", "SettingField", "fields", "from_dict", "load_recipe", "to_yaml"]

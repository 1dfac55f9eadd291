"""KEDA's types, out of the wheel that PyPI has of them (keda.txt), for any Python from 3.10.

The package wants Python 3.14, for the builders that each of its types has beside its fields. Fields are
what a schema is made of, and any pydantic understands them: the types are read without all else.
"""

import ast
import sys
import types
import zipfile

import pydantic
from cloudcoil.apimachinery import ObjectMeta

MODULE = "cloudcoil/models/keda/v1alpha1.py"
NAME = "keda_v1alpha1"


def load(wheel):
    """The module of the types of keda.sh/v1alpha1."""
    with zipfile.ZipFile(wheel) as archive:
        tree = ast.parse(archive.read(MODULE), filename=f"{wheel}/{MODULE}")
    tree.body = [part for part in tree.body if not is_import_of_its_own(part)]
    for part in tree.body:
        if isinstance(part, ast.ClassDef):
            part.body = [one for one in part.body if is_field(one)] or [ast.Pass()]
    module = types.ModuleType(NAME)
    # What is left of what the package's own imports would bring.
    module.BaseModel = module.Resource = pydantic.BaseModel
    module.ObjectMeta, module.UNSET = ObjectMeta, None
    # Pydantic looks there for the types that a type names.
    sys.modules[NAME] = module
    exec(compile(tree, f"{wheel}/{MODULE}", "exec"), module.__dict__)
    return module


def is_import_of_its_own(part):
    return isinstance(part, ast.ImportFrom) and part.module.split(".")[0] == "cloudcoil"


def is_field(part):
    return isinstance(part, (ast.AnnAssign, ast.Assign))

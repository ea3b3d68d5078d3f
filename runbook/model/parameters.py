"""The parameters: one frozen, strict model, the single source of each name, type, default and help text.

Values come from a notebook's parameters cell, a YAML file or the command line. `read` validates them and refuses an
unknown name, a wrong type or an impossible value before anything changes.
"""

import difflib
import errno
import json
import re
import reprlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml.error import YAMLError

from runbook.model import parameter_yaml, value_types
from runbook.model.errors import ParameterError
from runbook.model.project import COMMAND


def _refused(parameter: str, expected: str) -> PydanticCustomError:
    """Return the error for a value that conflicts with another one; it names the field, which pydantic does not do."""
    return PydanticCustomError("together", "{expected}", {"parameter": parameter, "expected": expected})


class User(BaseModel):
    """A user of the registry beside the first one."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: value_types.User
    may: Literal["push", "pull"] = "push"
    password_file: value_types.OptionalPath = ""
    disabled: bool = False

    def __str__(self) -> str:
        """Return the name, and what is not usual of the user."""
        unusual = [*(["pull"] if self.may == "pull" else []), *(["disabled"] if self.disabled else [])]
        return f"{self.name} ({', '.join(unusual)})" if unusual else self.name


def _user_of(value: object) -> object:
    """Return a user's entry that is only a name as the mapping that it stands for."""
    return {"name": value} if isinstance(value, str) else value


class Parameters(BaseModel):
    """All that a deployment decides; a notebook uses a part of it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    mode: Literal["apply", "plan"] = Field("apply", description="apply the plan, or only show it: plan")
    language: Literal["auto", "en", "zh"] = Field(
        "auto", description="language of what is shown: auto (that of the locale), en or zh"
    )
    domain: value_types.Domain = Field(
        "registry.test", description="name of the registry, in its certificate and in /etc/hosts"
    )
    address: value_types.HostAddress = Field(
        "auto",
        description="address of this host that the name stands for, not loopback; auto: that of the default route",
    )
    port: value_types.Port = Field(443, description="port of the registry over TLS")
    private_directory: value_types.FilePath = Field(
        "/etc/registry-runbook", description="folder for the CA and the secrets, never mounted into a container"
    )
    configuration_directory: value_types.FilePath = Field(
        "/etc/docker/registry", description="folder of config.yml, ssl and auth, mounted read-only"
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        60, description="seconds to wait for an engine or a registry to answer"
    )
    registry_image: value_types.Image = Field("registry:3.1.2", description="image of the registry, pinned by tag")
    registry_image_digest: value_types.Digest = Field(
        "", description="digest that registry_image must have, sha256:…; empty: not checked"
    )
    registry_image_source: Literal["auto", "pull", "archive", "package"] = Field(
        "auto", description="auto (what is here, then pull, then package), pull, archive or package"
    )
    registry_image_archive: value_types.OptionalPath = Field("", description="docker save file, for source archive")
    basic_container: value_types.Identifier = Field("registry", description="name of the basic registry's container")
    basic_address: value_types.ListeningAddress = Field(
        "127.0.0.1", description="address on which the basic registry listens; it has neither TLS nor login"
    )
    basic_port: value_types.Port = Field(5000, description="port of the basic registry over plain HTTP")
    basic_data_directory: value_types.FilePath = Field(
        "/opt/data/registry", description="folder on this host that holds the basic registry's data"
    )
    basic_test_reference: value_types.Reference = Field(
        "runbook/basic-proof:1", description="repository and tag that the basic proof pushes and removes again"
    )
    insecure_registries: list[value_types.RegistryAddress] = Field(
        [], description="HOST[:PORT] of registries on plain HTTP that this engine may use"
    )
    registry_mirrors: list[value_types.MirrorUrl] = Field(
        [], description="mirrors of the public registry that this engine asks first"
    )
    subject_country: value_types.Country = Field("", description="country in both subjects, or empty")
    subject_state: value_types.Place = Field("", description="state or province in both subjects, or empty")
    subject_locality: value_types.Place = Field("", description="city in both subjects, or empty")
    subject_organization: value_types.Organization = Field(
        "Registry Runbook", description="organization in both subjects, or empty"
    )
    ca_common_name: value_types.CommonName = Field(
        "Registry Runbook CA", description="common name of the certificate authority"
    )
    key_type: value_types.KeyType = Field(
        "ecdsa-p256", description="of both keys: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096"
    )
    ca_validity_days: value_types.Days = Field(3650, description="days until the certificate authority expires")
    validity_days: value_types.Days = Field(366, description="days until the server certificate expires")
    renew_before_days: Annotated[int, Field(ge=0, le=36500)] = Field(
        30, description="days before its expiry at which the server certificate is issued anew"
    )
    extra_names: list[value_types.Domain] = Field([], description="more host names for the server certificate")
    extra_addresses: list[value_types.Address] = Field(
        [], description="more IPv4 or IPv6 addresses for the server certificate"
    )
    ca_passphrase_file: value_types.OptionalPath = Field(
        "", description="0600 file with the CA key's passphrase; or RUNBOOK_CA_PASSPHRASE; or none"
    )
    certificate_source: Literal["issued", "own"] = Field(
        "issued", description="issued by an authority of the runbook, or own: brought along"
    )
    own_certificate_file: value_types.OptionalPath = Field(
        "", description="for source own: its chain in PEM, the server's certificate first"
    )
    own_key_file: value_types.OptionalPath = Field(
        "", description="for source own: its key in PEM without a passphrase, a 0600 file"
    )
    own_authority_file: value_types.OptionalPath = Field(
        "", description="root to trust; empty: the chain's last certificate, if self-signed"
    )
    username: value_types.User = Field("admin", description="user that may push and pull")
    password_file: value_types.OptionalPath = Field(
        "", description="0600 file with the password; or RUNBOOK_PASSWORD; or it is asked for or made"
    )
    users: list[Annotated[User, BeforeValidator(_user_of, json_schema_input_type=str | User)]] = Field(
        [], description="more users: a name, or name, may (push or pull), password_file, disabled"
    )
    bcrypt_cost: Annotated[int, Field(ge=4, le=14)] = Field(
        5, description="bcrypt cost of the password, paid on every request; 10 or more for one that can be guessed"
    )
    realm: value_types.Realm = Field(
        "basic-realm", description="realm that the registry names when it asks for a login"
    )
    delete_enabled: bool = Field(default=True, description="whether images may be deleted through the API")
    log_level: Literal["error", "warn", "info", "debug"] = Field("info", description="error, warn, info or debug")
    compose_project: value_types.Project = Field("registry", description="name of the Compose project")
    data_volume: value_types.Identifier = Field(
        "registry-data", description="name of the Compose volume that holds the images"
    )
    test_reference: value_types.Reference = Field(
        "runbook/proof:1", description="repository and tag that the proof pushes and removes again"
    )
    test_image: value_types.OptionalImage = Field(
        "", description="image on this host to push as proof; empty: a few kilobytes made on the spot"
    )
    client_kit_directory: value_types.FilePath = Field(
        "/opt/registry-client-kit", description="folder of the kit for other hosts; nothing in it is secret"
    )
    client_test_reference: value_types.Reference = Field(
        "runbook/client-check:1", description="repository and tag of the image that the kit pulls; it stays"
    )

    proxy: Literal["none", "nginx"] = Field("none", description="none, or nginx: this host's nginx in front ends TLS")
    backend_port: value_types.Port = Field(
        5002, description="port on 127.0.0.1 of the registry behind nginx, plain HTTP"
    )
    proxy_layer_megabytes: Annotated[int, Field(ge=2, le=100_000)] = Field(
        200, description="size of the layer that the proof sends through nginx and reads back"
    )

    accept_proof: bool = Field(
        default=False, description="whether 75-prove takes the state that it finds, where all holds, for the right one"
    )
    message: value_types.Message = Field(
        "", description="message that 80-diagnosis looks up, from a line to a whole log; empty: look at the host"
    )

    also_remove: list[value_types.Removable] = Field(
        [], description="what a tear-down removes too: data, basic-data, authority, secrets, image, packages"
    )
    confirm: value_types.Text = Field(
        "", description="domain again, so that a tear-down acts where nobody is asked; empty: it only plans there"
    )

    @model_validator(mode="after")
    def _image_fits_its_source(self) -> Self:
        """Refuse values that do not fit the source of the registry's image."""
        if self.registry_image_source == "archive" and not self.registry_image_archive:
            raise _refused(
                "registry_image_archive", "the path of a docker save file, since registry_image_source is archive"
            )
        if self.registry_image_digest and self.registry_image_source in ("archive", "package"):
            raise _refused("registry_image_digest", "empty, unless the image is pulled: no other source has a digest")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse values that are valid only separately."""
        if "." not in self.domain and self.port == HTTPS_PORT:
            raise _refused(
                "domain", "a name with a dot, or a port other than 443: clients take a single label for docker.io's"
            )
        for name in ("own_certificate_file", "own_key_file"):
            if self.certificate_source == "own" and not getattr(self, name):
                raise _refused(name, "the path of a file in PEM, since certificate_source is own")
        if self.confirm not in ("", self.domain):
            raise _refused("confirm", f"{self.domain}, the registry that is taken down, or empty")
        if self.renew_before_days >= self.validity_days:
            raise _refused("renew_before_days", "fewer days than validity_days")
        if self.validity_days >= self.ca_validity_days:
            raise _refused(
                "validity_days", "fewer days than ca_validity_days: it is worth nothing without its authority"
            )
        if (
            value_types.split_reference(self.client_test_reference)[0]
            == value_types.split_reference(self.test_reference)[0]
        ):
            raise _refused("client_test_reference", "another repository than test_reference, which the proof removes")
        return self

    @model_validator(mode="after")
    def _users_differ(self) -> Self:
        """Refuse two users of one name: the registry would take the last line of htpasswd."""
        names = [self.username, *(user.name for user in self.users)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise _refused("users", f"each name once, and not username ({', '.join(twice)})")
        return self

    @model_validator(mode="after")
    def _stand_apart(self) -> Self:
        """Refuse nested folders: whoever can read one must not be able to read the other."""
        mounted = ("configuration_directory", "basic_data_directory")
        for name, others, why in (
            ("private_directory", mounted, "which a container mounts"),
            ("client_kit_directory", ("private_directory", *mounted), "since other hosts get all that is in it"),
        ):
            folder = Path(getattr(self, name))
            for other in others:
                found = Path(getattr(self, other))
                if folder.is_relative_to(found) or found.is_relative_to(folder):
                    raise _refused(name, f"a folder apart from {other}, {why}")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        """Refuse two registries on one port."""
        if self.port == self.basic_port:
            raise _refused("basic_port", "a port other than that of the registry over TLS")
        if self.proxy == "nginx" and self.backend_port in (self.port, self.basic_port):
            raise _refused("backend_port", "a port other than those of nginx and of the basic registry")
        return self

    @model_validator(mode="after")
    def _names_are_short_enough(self) -> Self:
        """Refuse a domain too long for a file name, and a repository too long for a reference with its registry."""
        if len(f".{self.certificate_path.name}.part") > _LONGEST_NAME:
            raise _refused("domain", "at most 245 characters: the file of its certificate is named after it")
        for name in ("test_reference", "client_test_reference"):
            repository, _ = value_types.split_reference(getattr(self, name))
            if len(f"{self.registry_host}/{repository}") > _LONGEST_NAME:
                raise _refused(name, "a repository that takes, with domain and port, at most 255 characters")
        return self

    @property
    def registry_host(self) -> str:
        """The registry's name in image references: with its port, unless that is 443."""
        return self.domain if self.port == HTTPS_PORT else f"{self.domain}:{self.port}"

    @property
    def ca_key_path(self) -> Path:
        """The key of the certificate authority."""
        return Path(self.private_directory, "ca", "ca.key")

    @property
    def ca_certificate_path(self) -> Path:
        """The certificate of the certificate authority, which clients must trust."""
        return Path(self.private_directory, "ca", "ca.crt")

    @property
    def trust_path(self) -> Path:
        """The file with the authority that the engine trusts for this registry."""
        return Path("/etc/docker/certs.d", self.registry_host, "ca.crt")

    @property
    def certificate_path(self) -> Path:
        """The file with the server's key and certificate; a single file, so that both are replaced together."""
        return Path(self.configuration_directory, "ssl", f"{self.domain}.pem")

    @property
    def configuration_path(self) -> Path:
        """The registry's config.yml on this host."""
        return Path(self.configuration_directory, "config.yml")

    @property
    def htpasswd_path(self) -> Path:
        """The registry's users on this host."""
        return Path(self.configuration_directory, "auth", "htpasswd")

    @property
    def compose_path(self) -> Path:
        """The Compose file on this host."""
        return Path(self.configuration_directory, "docker-compose.yml")

    @property
    def password_path(self) -> Path:
        """The file with the password: the operator's, or that of the runbook."""
        return Path(self.password_file or self.kept_password_path(self.username))

    def user_password_path(self, user: User) -> Path:
        """Return the file with a user's password: the operator's, or that of the runbook."""
        return Path(user.password_file or self.kept_password_path(user.name))

    def kept_password_path(self, name: str) -> Path:
        """Return the file in which the runbook keeps the password of a user who brings none."""
        return Path(self.private_directory, "secrets", f"password-{name}")

    @property
    def baseline_path(self) -> Path:
        """The file with the baseline for a proof."""
        return Path(self.private_directory, "accepted.json")

    @property
    def http_secret_path(self) -> Path:
        """The file with the registry's `http.secret`."""
        return Path(self.private_directory, "secrets", "http-secret")


HTTPS_PORT = 443
_LONGEST_NAME = 255  # of a file (limits.h, NAME_MAX); of an image (distribution/reference, NameTotalLengthMax)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NOT_TO_REPEAT = r"(?i)pass|secret|token|credential"
_SHOWN = reprlib.Repr()  # a value can be long, or contain itself
_SHOWN.maxstring = _SHOWN.maxother = 200
_SHOWN.maxlevel = 2


def _explain(error: ValidationError, values: Mapping[str, object], where: str) -> dict[str, ParameterError]:
    """Return the model's errors as messages for users, one a name, unknown names first."""
    unknown = ("extra_forbidden", "string_unicode")
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] not in unknown)
    explained: dict[str, ParameterError] = {}
    for detail in details:
        name, refusal = _explain_one(detail, values, where)
        explained.setdefault(name, refusal)
    return explained


def _explain_one(detail: ErrorDetails, values: Mapping[str, object], where: str) -> tuple[str, ParameterError]:
    name = str(detail["loc"][0]) if detail["loc"] else None
    expected = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "string_unicode" and name is None:  # pydantic does not report which name is not UTF-8
        name = next(item for item in values if item not in Parameters.model_fields)
    if name is not None and name not in Parameters.model_fields:
        near = difflib.get_close_matches(name, Parameters.model_fields, n=1, cutoff=0.5)
        meant = f"write {near[0]}, which is probably meant" if near else f"see `{COMMAND} parameters` for the names"
        plain = name if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name) else ascii(name[:100])
        found = f"{plain} = {_shown(name, values[name])} ({where})"
        return name, ParameterError("a parameter that the runbook knows", found, meant)
    if name is None:
        name = str(detail["ctx"]["parameter"])
    value = values.get(name, Parameters.model_fields[name].default)
    return name, ParameterError(
        f"for {name}: {expected[0].lower()}{expected[1:]}",
        f"{_shown(name, value)} ({where})",
        f"set {name} ({Parameters.model_fields[name].description})",
    )


def _shown(name: str, value: object) -> str:
    """Return a value, shortened; hidden if it may be a secret, written by mistake in place of a file name."""
    return "(not shown)" if re.search(_NOT_TO_REPEAT, name) else _SHOWN.repr(value)


def read(values: Mapping[str, object], *, where: str) -> Parameters:
    """Return the model of `values` and defaults.

    `where` is the source of the values in errors. Raises ParameterError for the first refused name or value.
    """
    try:
        return Parameters.model_validate(dict(values))
    except ValidationError as error:
        raise next(iter(_explain(error, values, where).values())) from None


def refusals(values: Mapping[str, object], *, where: str) -> dict[str, ParameterError]:
    """Return name -> error for all names and values that `read` refuses; conflicts are checked only without others."""
    try:
        Parameters.model_validate(dict(values))
    except ValidationError as error:
        return _explain(error, values, where)
    return {}


def schema() -> str:
    """Return the JSON Schema of a parameter file: the content of parameters/schema.json, for editors."""
    plain = {"$schema": _DIALECT, **Parameters.model_json_schema()}
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


def load_file(path: Path) -> dict[str, object]:
    """Return the values of a YAML 1.2 parameter file, not validated; raises ParameterError if it is no flat mapping."""
    remedy = "write one `name: value` a line"
    try:
        loaded = parameter_yaml.load(_text(path))
    except OSError as error:
        raise ParameterError("a parameter file", f"{path}: {error.strerror}", "name a file of parameters/") from error
    except YAMLError as error:
        raise ParameterError("a parameter file in YAML", f"{path}: {error}", remedy) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ParameterError("a mapping of names to values", f"{path}: {type(loaded).__name__}", remedy)
    if (name := next((name for name in loaded if not isinstance(name, str)), "")) != "":
        raise ParameterError("a mapping of names to values", f"{path}: {_SHOWN.repr(name)} as a name", remedy)
    return loaded


def _text(path: Path) -> str:
    """Return the text of a regular file up to the size limit; reading a named pipe could block forever."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    with path.open("rb") as file:
        found = file.read(4 * parameter_yaml.LONGEST + 4)  # a character takes at most 4 bytes
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise YAMLError(f"line {line}: {error.reason}, byte 0x{found[error.start]:02x} is not UTF-8") from error


def file_text(parameters: Parameters) -> str:
    """Return a parameter file with the values that differ from the defaults and their help, in YAML 1.1 and 1.2."""
    return "# yaml-language-server: $schema=schema.json\n" + entries_text(plain(parameters))


def _plain_user(user: User) -> object:
    found = user.model_dump(exclude_defaults=True)
    return user.name if found.keys() == {"name"} else found


def plain(parameters: Parameters, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the values of these names, or of all, as a parameter file has them: a user by its name alone."""
    values = parameters.model_dump(include=None if names is None else set(names))
    if "users" in values:
        values["users"] = [_plain_user(user) for user in parameters.users]
    return values


def entries_text(values: Mapping[str, object], *, with_defaults: bool = False) -> str:
    """Return the lines of a parameter file for the values, in the order of the model; of defaults only if wanted."""
    return "".join(
        f"# {field.description}\n{name}: {json.dumps(values[name], ensure_ascii=False)}\n"
        for name, field in Parameters.model_fields.items()
        if name in values and (with_defaults or values[name] != field.default)
    )


def from_text(name: str, text: str) -> object:
    """Return the value of a command-line argument: text for text parameters, otherwise parsed as YAML 1.2.

    `read` refuses an unknown name.
    """
    field = Parameters.model_fields.get(name)
    if field is None or field.annotation is str or get_origin(field.annotation) is Literal:
        return text
    try:
        return parameter_yaml.load(text)
    except YAMLError:
        return text

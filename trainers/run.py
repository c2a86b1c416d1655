"""One entry for every backend: from Python, or from a configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from rewardkit._strict import Strict
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import ConfigError, SpecError
from rewardkit.rubric import Rubric
from rewardkit.spec import read_data
from rewardkit.trainers import parallel
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings, QuantSettings
from rewardkit.trainers.result import Trainer, TrainResult

if TYPE_CHECKING:
    from rewardkit.trainers.model import Policy

__all__ = ["RunConfig", "make_trainer", "model_path", "read_config", "train", "train_command"]

Backend = Literal["builtin", "trl"]


class RunConfig(Strict):
    """A whole run: what ``rewardkit train config.yaml`` reads.

    Attributes:
        model: a folder or hub name. Relative paths start at the configuration's folder.
        rubric: the path of a rubric's spec, or the spec itself.
        data: rows to learn from.
        eval_data: held-out rows.
        output_dir: the run folder.
        backend: who trains.
        dtype: of the weights when loaded.
        lora: train adapters instead of the full weights.
        load_in_4bit, bnb_4bit_quant_type, use_bnb_nested_quant: see :class:`QuantSettings`.
        grpo: the algorithm's settings.
    """

    foreign: ClassVar = {
        **dict.fromkeys(LoraSettings.model_fields, "it stands under lora"),
        **dict.fromkeys(GRPOConfig.model_fields, "it stands under grpo"),
        **{key: f"it would stand under grpo, but {why}" for key, why in GRPOConfig.foreign.items()},
    }

    model: str
    rubric: str | dict[str, Any]
    data: DataConfig
    output_dir: str
    eval_data: DataConfig | None = None
    backend: Backend = "builtin"
    dtype: Dtype = "float32"
    lora: LoraSettings | None = None
    load_in_4bit: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    use_bnb_nested_quant: bool = True
    grpo: GRPOConfig = GRPOConfig()

    @property
    def quantization(self) -> QuantSettings | None:
        """How the weights are quantised; ``None``: they are not."""
        keys = {name: getattr(self, name) for name in QuantSettings.model_fields}
        return QuantSettings(**keys) if self.load_in_4bit else None

    @model_validator(mode="after")
    def _quantised_goes_together(self) -> RunConfig:
        usual = QuantSettings()
        for name in ("bnb_4bit_quant_type", "use_bnb_nested_quant"):
            if getattr(self, name) != getattr(usual, name) and not self.load_in_4bit:
                raise ValueError(f"{name} has no effect without load_in_4bit")
        if self.load_in_4bit and self.backend == "trl":
            raise ValueError("load_in_4bit is for the built-in trainer: leave backend out")
        return self


def make_trainer(
    model: str | Path | Policy,
    rubric: Rubric,
    train_data: Sequence[Mapping[str, Any]],
    config: GRPOConfig | None = None,
    *,
    backend: Backend = "builtin",
    **options: Any,
) -> Trainer:
    """The trainer of a backend; options as of :class:`rewardkit.trainers.GRPOTrainer`."""
    from rewardkit import trainers  # through the package, which names the extra that is missing

    if backend == "builtin":
        return trainers.GRPOTrainer(model, rubric, train_data, config, **options)
    if backend == "trl":
        return trainers.TRLTrainer(model, rubric, train_data, config, **options)
    raise ConfigError(f"unknown backend {backend!r}; there are: builtin, trl")


def train(
    model: str | Path | Policy,
    rubric: Rubric,
    train_data: Sequence[Mapping[str, Any]],
    config: GRPOConfig | None = None,
    *,
    backend: Backend = "builtin",
    **options: Any,
) -> TrainResult:
    """Train a model with a rubric; arguments as of :func:`make_trainer`."""
    return make_trainer(model, rubric, train_data, config, backend=backend, **options).train()


def train_command(
    config_path: Path | None,
    backend: Backend | None,
    resume: Path | None,
    output_dir: Path | None,
    allow_code: bool,
    checkpoint: int | None = None,
    data: Path | None = None,
    max_steps: int | None = None,
) -> int:
    """``rewardkit train``: run a configuration, or go on with a run. Returns the exit code.

    Args:
        config_path: the configuration; ``None`` with ``resume``.
        backend: instead of the configuration's.
        resume: the run folder to go on with.
        output_dir: instead of the configuration's.
        allow_code: let the rubric name functions in files.
        checkpoint: the step to go back to, with ``resume``.
        data: rows instead of the configuration's, read in the same way.
        max_steps: instead of the configuration's.
    """
    if (config_path is None) == (resume is None):
        raise ConfigError("give either a configuration file, or --resume with a run folder")
    if resume is not None and output_dir is not None:
        raise ConfigError("--resume goes on in its own folder: leave --output-dir out")
    if resume is None and checkpoint is not None:
        raise ConfigError(
            "--checkpoint says where --resume RUN goes on; for a new run from a checkpoint, name "
            "its folder as the model"
        )
    config, start = _read(config_path, resume, data, max_steps)
    if resume is not None and backend not in (None, config.backend):
        raise ConfigError(f"this run was made by backend {config.backend!r}; resume it there")
    where = resume or output_dir or start / config.output_dir
    config = config.model_copy(update={"backend": backend or config.backend})
    eval_data = config.eval_data
    quantised = {} if config.quantization is None else {"quantization": config.quantization}
    train(
        model_path(config.model, start),
        _rubric(config.rubric, start, allow_code),
        load_rows(config.data, folder=start),
        config.grpo,
        backend=config.backend,
        eval_data=None if eval_data is None else load_rows(eval_data, folder=start),
        lora=config.lora,
        dtype=config.dtype,
        **quantised,
        output_dir=where,
        resume=resume is not None,
        checkpoint=checkpoint,
        new_data=resume is not None and data is not None,
        describe={
            **config.model_dump(mode="json", exclude_defaults=True),
            "backend": config.backend,
            "relative_to": str(start.resolve()),
        },
    )
    if parallel.rank() == 0:
        print(f"run folder: {where}")
    parallel.end()
    return 0


def _read(
    config_path: Path | None, resume: Path | None, data: Path | None, max_steps: int | None
) -> tuple[RunConfig, Path]:
    """The configuration with what the command line changes, and where its relative paths start."""
    if resume is not None and not (resume / "manifest.json").is_file():
        raise ConfigError(f"{resume} is not a run folder: it has no manifest.json")
    path = config_path if resume is None else resume / "config.yaml"
    assert path is not None
    config, start = read_config(path)
    if data is not None:
        other = {"path": str(data.resolve()), "name": None, "split": None}
        config = config.model_copy(update={"data": config.data.model_copy(update=other)})
    if max_steps is not None:
        grpo = config.grpo.model_dump(exclude_unset=True) | {"max_steps": max_steps}
        config = config.model_copy(update={"grpo": GRPOConfig(**grpo)})
    return config, start


def read_config(path: Path) -> tuple[RunConfig, Path]:
    """A configuration file, and where its relative paths start. Raises ``ConfigError``."""
    try:
        values = read_data(path)
    except SpecError as error:
        raise ConfigError(str(error)) from None
    # The run folder's copy of the configuration names the folder its relative paths started from.
    start = Path(values.pop("relative_to", path.parent))
    return RunConfig(**values), start


def model_path(model: str, start: Path) -> str:
    """A folder relative to the configuration, or a hub name as it is."""
    local = start / Path(model).expanduser()
    return str(local) if local.exists() or model.startswith((".", "/", "~")) else model


def _rubric(spec: str | dict[str, Any], start: Path, allow_code: bool) -> Rubric:
    if isinstance(spec, str):
        return Rubric.load(start / spec, allow_code=allow_code)
    return Rubric.from_spec(spec, allow_code=start if allow_code else False)

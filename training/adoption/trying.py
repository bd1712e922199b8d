"""Trying out a module of somebody else's: whether it can answer requests, and what its answers are."""

from typing import Literal

import torch
from torch import Tensor

from service.artifacts.fitness import SUM_TOLERANCE
from service.engine.tensors import reason
from service.engine.torchscript import MODEL_FAULTS
from training.adoption.wrapping import PictureArchive, TableArchive
from training.data import DataUnavailable

Archive = PictureArchive | TableArchive
Kind = Literal["logits", "probabilities", "neither"]

SAME = 1e-3  # how far an answer may differ from that in another batch
FEW, BATCH_ROWS = 4, 64
MOST_ROWS = 400  # of a table, that the service computes at once
FAR = 1e3  # times what a module usually reads: logits leave 0 to 1 there, probabilities do not
FAULTS = (*MODEL_FAULTS, ValueError, TypeError, AttributeError, LookupError)


def tried(net: Archive, rows: Tensor) -> Tensor:
    """Its answers, f32 [N, outputs], once it was seen to answer rows one by one as it does several.

    Raises DataUnavailable, which says what is wrong with it.
    """
    few = torch.cat([rows] * FEW)[:FEW]
    several = _answers_to_several(net, few)
    if not several.isfinite().all():
        raise DataUnavailable("the module answers what is no finite number")
    if not torch.equal(several, _answers(net, few)):
        raise DataUnavailable(
            "the module answers the same rows differently each time: is there a dropout that is always on?"
            " Call eval() before it is traced or exported"
        )
    for at, row in enumerate(few.split(1)):
        if not torch.allclose(_answers(net, row)[0], several[at], atol=SAME, rtol=SAME):
            raise DataUnavailable(
                "the module answers a row differently in a batch: is it in eval() mode when it is traced?"
                " Nothing in it may go by all rows, as dynamic quantization does"
            )
    if isinstance(net, TableArchive):  # of pictures, as many as can be are tried whenever one is loaded
        _answers(net, few[:1].repeat(MOST_ROWS, 1))
    answers = torch.cat([_answers(net, batch) for batch in rows.split(BATCH_ROWS)])
    if not answers.isfinite().all():
        raise DataUnavailable("the module answers what is no finite number")
    return answers


def what_answers_are(net: Archive, rows: Tensor, answers: Tensor, *, alone: bool) -> Kind:
    """Logits, or probabilities: `alone`, each for itself, or of classes, which sum to 1.

    A few logits may happen to look like probabilities. So those of numbers that are far too large for the
    module count too, where it gives any.
    """
    seen = answers
    with torch.inference_mode():
        read = net.read(rows[:FEW])
        for far in (FAR, -FAR):
            try:
                given = net.net(read * far)
            except FAULTS:
                continue
            if isinstance(given, Tensor) and given.numel() % answers.shape[1] == 0:
                given = given.float().reshape(-1, answers.shape[1])
                seen = torch.cat([seen, given[given.isfinite().all(1)]])
    if not bool(((seen >= 0) & (seen <= 1 + SUM_TOLERANCE)).all()):  # logits may be tiny, and below 0
        return "logits"
    if alone or bool(((seen.sum(1) - 1).abs() < SUM_TOLERANCE).all()):
        return "probabilities"
    return "neither"


def _answers_to_several(net: Archive, rows: Tensor) -> Tensor:
    try:
        return _answers(net, rows)
    except DataUnavailable as error:
        try:
            _answers(net, rows[:1])
        except DataUnavailable:
            raise error from None
        raise DataUnavailable(
            f"{error}; a row alone it answers, as it was traced: trace it with an example of 2 rows"
            " that answers as many, or script it"
        ) from error


def _answers(net: Archive, rows: Tensor) -> Tensor:
    shape = list(rows.shape)
    try:
        with torch.inference_mode():
            raw: object = net.raw(rows.clone())  # it may write to them
            answers = net(rows.clone()) if isinstance(raw, Tensor) and _is_plain(raw) else raw
    except FAULTS as error:
        raise DataUnavailable(f"the module fails on float32 {shape}: {reason(error)}") from error
    if not isinstance(answers, Tensor):
        raise DataUnavailable(
            f"the module answers a {type(answers).__name__}; wrap it so that it answers one tensor"
        )
    if not _is_plain(answers):
        raise DataUnavailable(
            "the module answers complex, sparse or quantized numbers; wrap it so that it answers float32"
        )
    if answers.dim() != 2 or len(answers) != len(rows) or not answers.shape[1]:
        raise DataUnavailable(
            f"the module answers {list(answers.shape)} to {shape}, not [{len(rows)}, outputs]"
        )
    return answers


def _is_plain(answers: Tensor) -> bool:
    return not (answers.is_complex() or answers.is_quantized or answers.layout != torch.strided)

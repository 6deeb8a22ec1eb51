"""States that an earlier release wrote are read, merged and shown: an updated worker goes on where the old one was."""

import base64
import zlib
from decimal import Decimal

import pytest

from processors.call.state import CallState
from processors.join import step
from processors.store.partition import PartitionState
from processors.store.state_codec import FORM, decode_state, encode_state, peek_state
from processors.timeline.build import timelines_of
from schemas.config.settings import JoinSettings
from schemas.errors import Undecodable
from schemas.facts import Fact, Flag
from tests.support.strategies import BOTH_LEGS, DECISIONS, KEY, callback, in_a_row, placed, privacy

# Three states, a record, another cost and a duplicate of the record: before accounts, contents and decisions were
# known.
FIRST_RELEASE = bytes.fromhex(
    """
    029a05010500cd03e8ce240c87e8c29094919191de001300c41008deee6cc8485258ac32ed5b653e364d01c410d4143b474299ef884b6ab97070b5
    399602b97974787c6d61696e7c3230313830363335323430323839343603a5737461746504a379747805ae63616c6c6261636b5f737461746509a4
    6d61696e0ab0323031383036333532343032383934360ea863616c6c6261636b15ad2b38363130353331383030303216ad2b383631303533313830
    30303217a46531363438ae2b3836313338313036303339353439ae2b383631333831303630333935343aa573657475703bd6ff69a3f20042d6ff69
    a3f20044a5722d302d3045a963616c6c732e7261779191918700c4106bcb85a4e21f51c3a104987d9a894c8b01c4101f8a382e11451d23fa52ad95
    959134a63aa8616c657274696e673bd6ff69a3f20342d6ff69a3f20144a5722d302d3147019191918700c4100e9b9e539f3e57faa093dd25629d82
    8b01c410b93fa7bcf7b2e6de3d76aac746fddaa53aa6616e737765723bd6ff69a3f20a42d6ff69a3f20244a5722d302d324702919295de002100c4
    10e31e8591da825ebc844ad6d100783ea701c4103d815c2edd999630564ae0c4ff8b80c103a67265636f726405ac63616c6c6261636b5f63647209
    a56170702d310fae2b3836313338313036303339353410ae2b3836313338313036303339353411a46531363412ae2b383631383831303230373031
    3613ae2b3836313838313032303730313614a46531363415c016a017a01dd6ff69a3f2141ed6ff69a3f24620928500a14101ae2b38363133383130
    36303339353403a46531363406d6ff69a3f20a07d6ff69a3f2468500a14201ae2b3836313838313032303730313603a46531363406d6ff69a3f214
    07d6ff69a3f24623cdc350243c253c26a676656e646f7227a8616e7377657265642ea4322e39342fa3434e5930a676656e646f7238a039c03aa775
    6e6b6e6f776e3bc040c342d6ff69a3f20344a5722d302d334703c200c29195cf00064bf1dff76d40a963616c6c732e726177004d0091de002100c4
    10e31e8591da825ebc844ad6d100783ea701c410aee7d061689d008ad64d5206591341d203a67265636f726405ac63616c6c6261636b5f63647209
    a56170702d310fae2b3836313338313036303339353410ae2b3836313338313036303339353411a46531363412ae2b383631383831303230373031
    3613ae2b3836313838313032303730313614a46531363415c016a017a01dd6ff69a3f2141ed6ff69a3f24620928500a14101ae2b38363133383130
    36303339353403a46531363406d6ff69a3f20a07d6ff69a3f2468500a14201ae2b3836313838313032303730313603a46531363406d6ff69a3f214
    07d6ff69a3f24623cdc350243c253c26a676656e646f7227a8616e7377657265642ea4332e31302fa3434e5930a676656e646f7238a039c03aa775
    6e6b6e6f776e3bc040c342d6ff69a3f20444a5722d302d34470402
    """
)

# Contents, duplicates and decisions beyond the bounds, late facts, legs: all that the form of that release had.
RICH = zlib.decompress(
    base64.b85decode(
        b"c-mu{#ls@Na4s@KpW$3>$!3Pb6Q`_9PRz+E)+<UZXJBKPGKqQG)O!qy3`YbW%e79t)fBg<#p~Kdh6=moj7J1SR`1e&z4J_Es-$b_L#^E_nRZr|"
        b"RMg}qX6Drx85mj^m>HWInHU&ZSelqIFDpt-&M!(~SqxOdx&~xNQetv;d~!+==hDQ20$oF{4d{CKR=||;uhX_LGc>j^G%zzTwlp;nK;sK8Ni{Sx"
        b"5dw=^07Z=q%nc09gwgmSU{$i${%0=!Bq9f<+!Q9YGAwjtL^F>Wtdb3^go_=b5~$9J5zRzobs|u8%4ZJ;s4%M9s4Xi?%}dEIQeTmnS6rT2l$xTq"
        b"#7NK5M1QffU!(z4(qw5-YMQR0!(k_|W=5B#MY;yMhOUT6aA)*9qOh6(ILvTp!qiq^jMz>RI(;uiv!1<Uy7<PTJ>OLrAO<r)3^s6QIK*&x%GC1="
        b"Y~CMl=O1!FiflIqi15AWf(9gEBbad3rUOXA#xUW^uM9}SCJbO_xIc>A8p*ak%P@^u#^_C}z6uk>8B7po7`ZdSU3{f?zb~uQ>;uo1Ca-)f{M1y1"
        b"8KRUKqSV-(8KiXLJq9_TVy;5Pos%x)tJ!r&C3ijg{*8H6QEG91PH9PIejeunt_6I{OY^ex^2_u14+ty}Tp)Bnc!9_Q*#mM16ecJiP&uG_Ky86K"
        b"Oo`qB{RIXKOcq#!tz&gK1hF^OWjQzs3=G{<J&!Q>+*B~Jv`9<>rc7X>OiWERu{1L<H8Qd^GBh(vOf|JgHi5cr-&B!LxAPQkW`B&{P=C<-G4<TW"
        b"0CQUk%xwnlDG;|Ar&t)8CL5)uq*z*7ni(6Inwcb~8YG*frCB6d7$h4`oCwXm!tA>k+5Uu2=zmzCm9)Nu5$IsP#69zm&fPFa!l^@E;`!<cOj|Qb"
        b"6U$RGAsM(hwYV7Qa$Q4~We{Q3RRu+vWr@j^@rf0jOA@nzId&yn5jTR#yD}*=FC{ZCUDpudWoW)JFf=wcFt9KYfO=m7EN*6MXk=jl3}$m_h<_nj"
        b"lmn7QT@c{|3l@8bGDx7L!2-p|Jq;Kr;M4;0wKCAx9QWSkobU*WSYz}yI@Qk17nI&atlgbvzVGnP+F4Mr)p8p1(&CcDl2q1p@FEG!=Uf5`1>~p_"
        b"T?=xnfvGVlDHs@up>o9`Wefi3v_LCnEYbK@ON&!WN(<0pJssvjWA}7)4`!ckUGhji@bE&G8MU)IeY$}jl<%_86LghT{uQ)#>ePuQ%LbJPS0v`7"
        b"7L@=K2gHxeFh6F%{Al8y0rev@05Efn;Q"
    )
)  # fmt: skip


def joined(facts: list[Fact], settings: JoinSettings, step_ms: int = 0, first_ms: int = 0) -> CallState:
    state: CallState | None = None
    for index, fact in enumerate(facts):
        state = step(state, fact, first_ms + index * step_ms, settings).state
    assert state is not None
    return state


def record(number: int) -> Fact:
    return callback(vendor_duration_s=number, custom_ref="ref-1", raw_sha256="ab" * 32)


STATES: dict[str, tuple[bytes, CallState]] = {
    "of the first release": (
        FIRST_RELEASE,
        joined(
            [*in_a_row([*BOTH_LEGS[:3], callback(), callback(cost=Decimal("3.10"))]), placed(callback(), 77)],
            JoinSettings(),
            first_ms=1000,
        ),
    ),
    "with everything": (
        RICH,
        joined(
            [
                *in_a_row([record(number) for number in range(7)]),
                *in_a_row([record(0)] * 3, first_offset=50),
                placed(record(0), 70, received=1),
                *in_a_row([*DECISIONS[:2], privacy(), *BOTH_LEGS[:2]], first_offset=100),
            ],
            JoinSettings(max_contents=4),
            step_ms=100_000_000,
        ),
    ),
}


@pytest.mark.parametrize(("stored", "known"), STATES.values(), ids=STATES.keys())
def test_an_old_state_is_read_and_written_in_the_new_form(stored: bytes, known: CallState) -> None:
    read = decode_state(stored)

    assert read == known
    assert timelines_of(read) == timelines_of(known)
    assert encode_state(read) == encode_state(known)
    assert (stored[0], encode_state(read)[0]) == (2, FORM)


@pytest.mark.parametrize(("stored", "known"), STATES.values(), ids=STATES.keys())
def test_the_head_of_an_old_state_is_read_alone(stored: bytes, known: CallState) -> None:
    head = peek_state(stored)

    assert (head.counts(), head.deadline_ms, head.phase) == (known.counts(), known.deadline_ms, known.phase)


def test_the_sample_has_all_that_the_old_form_had() -> None:
    state = decode_state(RICH)
    contents = [content for item in state.items.values() for content in item.every]

    assert (state.overflow, state.late, state.folded_up_to != (), state.duplicates) == (True, True, True, 4)
    assert any(content.arrivals.shuffled for content in contents)
    assert any(item.resolutions for item in state.items.values())
    assert any(item.more for item in state.items.values())
    assert any(content.fact.raw_sha256 for content in contents)


def test_it_is_carried_on_and_its_next_change_has_the_new_form() -> None:
    held = PartitionState(JoinSettings())
    held.load(KEY, [FIRST_RELEASE])
    assert held.take_changed() == {}
    done = held.apply(in_a_row(BOTH_LEGS, first_offset=100)[3])

    assert held.take_stuck() == []
    assert (done.outcome, done.timelines[0].fact_count) == ("fact", 6)
    assert Flag.CONFLICT_FINAL in done.timelines[0].quality_flags
    (written,) = held.take_changed().values()
    assert written is not None
    assert written[0] == FORM


@pytest.mark.parametrize("cut", [1, 2, 60, len(FIRST_RELEASE) - 1])
def test_a_damaged_old_state_is_undecodable(cut: int) -> None:
    for damaged in (FIRST_RELEASE[:cut], FIRST_RELEASE[:cut] + b"\xc1" * 20):
        with pytest.raises(Undecodable) as caught:
            decode_state(damaged)
        assert caught.value.code == "schema"

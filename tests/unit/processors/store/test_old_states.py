"""States that an earlier release wrote are read, merged and shown: an updated worker goes on where the old one was."""

import base64
import zlib
from decimal import Decimal
from typing import Any

import cramjam
import msgspec
import pytest

from processors.call.state import CallState
from processors.join import step
from processors.store.partition import PartitionState
from processors.store.state_codec import (
    FACT_FIELDS,
    FORM,
    StoredContent,
    StoredItem,
    StoredLeg,
    StoredState,
    decode_state,
    encode_state,
    peek_state,
    stored_form,
)
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

# The same in the form of today, as the release before slots wrote it.
WITHOUT_SLOTS = zlib.decompress(
    base64.b85decode(
        b"c-kdXdrVVj6hGg+?Y(_~ZK2pYr#$8!LeTqay^Vl~3TDnt{b%BfT-u8iSlivU0*eZBviO>7p`Dv^^AgL;CwmaZG1mbmOWb@UM&ejZigEt2mk>9%#i"
        b"aYl&L8J@&i8#MIp_R-A9*}OV}|S1^-JOUp3oN%jSaY^rl#N$MQR2L#>lIheOEF8ruk^BD;E0+)}Lw(we(1VKruVWF|5cqc?Tyjoahpqs@gwWTr0U"
        b"7&libKmKRyZ$?z_RkdRrYV1;fGpK#1FhIQg3iS16>duql?!N$tY6WuFc0;&YE)y07F!D66b8Y=t3zDA$F*{3FxC%P+GpsGR70=XGz79LxY$sfixp"
        b"pxEQvd`mJ`XyhmSyp5Zeyk>ZexF<fu>`loC7fFIYPAKP>eL=Zt}A9$bu6N)!+4V2Z%AI>ZVK)1Rb;nc@tifHw`<%U1tCy-ftmnh0(uBmsn}w$I@z"
        b"u!!>}l+7NDCb5eNtCdz50Pm>t*->F57n8ZJ~LYF7kC$HvR=FYJi^xNpbE{+I9Ef|jyA>zT_%zYKrhD$iRJP8EJNa0Wq!DTOZPLJFOni=B;0p)8CS"
        b"WAPh6t(%_okCrchf=aMK)xE8Ob{kkZ8!T)1Jc%P7N3DP2s~rNs*k~z{Mx~uu*Y0^1x6ucV**;T7o|F(7rc&ZkE>TLHoQs`}n?zX{O$#+-8dXhI4^"
        b">ka8rVAWS?<@4r71L#OU`zJosCbS*+id4x8M6_z4n=plRx*k2kvJ-aHLS?BC>OwgrgMw4h0?5O3Y-00_{A=<Y{_7yoR?m`XX)k`m`bk{Y~MJ*Y7K"
        b"$VJ`pyIz5g4q0QQZfDB-fO~}$Whqg0j+ALepqwKqRf=iTYv9PeFBv}?*PR7A;E{=6_lI#%O0!x>Sj_0v-8X4ZqAMU*Af1&K~7Wbj4Cx4mIksL51y"
        b"T^=lE2u0CX$$WWS%;gGJsy|K<>VQMQ;=lFE!5SCwIbtY%}Dczyb`z0O#1TfHcoFHZ2NZI{jO*hdYsi;AC{VBZ$fIs1PA3{5Kn=%Gf?aGdAz=z#cT"
        b"mVKF}!)%kvB)(grrEVph7H4we%|JjJqGm`a_&qRWKr)eVH{Q$1~HBsR@TZzv8#T(6A-c~t-KbU^X$lH9E|QVW*dmjF8nV*>#}J$e@`_!HXewjkX$"
        b"tr-KkO*>=F%cd_Q>gnr|_fvtw+6y5xM;bYK^^?I9_KE|!_J?O85Lu33h0&Z44W=@qegp1HJy&657zaO2<TG3=N#-EUc4TTJ3j;mDkQ9>7uQkA+(N"
        b"bdq=rhb$-vYGP2#ZjDvi%}5jv6QvNIgM06b|r+I!4%cmLlCH%`BuXx_iGjeYbYg=Cj;yTjet6`rFp!RTUroabR7;a3C<``k)lui1tfOvJ%2eD@Qr"
        b"x1Zl4?M>gSa?JPdZZoJl!n9AKa)~)$)&+&t=9L_x?F0rgx@Z7(f&c)+Vp%)_m0glX!_5"
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
    without_slot = msgspec.structs.replace(known, slots={})

    assert read == without_slot
    assert timelines_of(read) == timelines_of(without_slot)
    assert encode_state(read) == encode_state(without_slot)
    assert (stored[0], encode_state(read)[0]) == (2, FORM)


def test_a_state_of_the_release_before_slots_is_read() -> None:
    """It is what a worker of that release makes of a new one, too, in an upgrade that goes back."""
    assert decode_state(WITHOUT_SLOTS) == msgspec.structs.replace(STATES["with everything"][1], slots={})


BEFORE_SLOTS = tuple(name for name in FACT_FIELDS if not name.startswith("slot_"))
OldFact: Any = stored_form(Fact, BEFORE_SLOTS, legs=tuple[StoredLeg, ...])


class OldContent(StoredContent, frozen=True, array_like=True):
    """A stored content as the release before slots read it."""

    fact: OldFact


class OldItem(StoredItem, frozen=True, array_like=True):
    """A stored item, likewise."""

    contents: tuple[OldContent, ...]
    resolutions: tuple[OldContent, ...]


class OldItems(msgspec.Struct, frozen=True, array_like=True):
    """The items of a state, likewise."""

    items: tuple[OldItem, ...]


OldState: Any = msgspec.defstruct(
    "OldState",
    [(field.name, field.type) for field in msgspec.structs.fields(StoredState) if field.name not in {"slots", "told"}],
    array_like=True,
    frozen=True,
)


@pytest.mark.parametrize("known", [known for _, known in STATES.values()], ids=STATES.keys())
def test_the_release_before_slots_reads_what_is_written_now(known: CallState) -> None:
    """It passes over what was appended: its workers may run beside ours, and after them."""
    written = encode_state(known)
    head = msgspec.msgpack.decode(written[1:], type=OldState)
    items = msgspec.msgpack.decode(bytes(cramjam.lz4.decompress_block(head.items)), type=OldItems).items
    told = [content.fact for item in known.items.values() for content in item.every]
    read = [content.fact for item in items for content in (*item.contents, *item.resolutions)]
    shared = [name for name in BEFORE_SLOTS if name not in {"fact_id", "content_digest", "raw_sha256", "legs"}]

    assert known.slots
    assert (head.contents, head.touched_ms, head.phase) == (known.contents, known.touched_ms, known.phase)
    assert [[getattr(fact, name) for name in shared] for fact in read] == [
        [getattr(fact, name) for name in shared] for fact in told
    ]


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

"""The text that the states of small calls share, behind which their items are compressed. Pure.

LZ4 finds little in the half kilobyte of one record: names and defaults come once in it, and in every other state again.
So it compresses `TEXT` and the items in one, and what it makes of the text, `BEGINNING`, is taken away before they are
stored and put back before they are read: a third of the bytes less for 1 to 2 us. That needs no dictionary of LZ4's,
which our library does not offer, and no luck: where the result begins otherwise, the items are stored by themselves.

Neither constant may ever change, as stored states were written with them: other ones would be another form.
"""

from base64 import b85decode
from typing import Final

import cramjam

TEXT: Final = (
    b"\x91\x91\x93\x91\x94\xdc\x00O\xa6huawei\xa0\xa7unknown\xc0\xa0\xc0\xa0\xae+\xae+\xd7\xff\xc0\xd7\xff\xd7"
    b"\xff\x91\x9c\xa1A\xae+\xae+\xa4e164\xd7\xff\xc0\xd7\xff\xd7\xff\xa8answered\xa6normal\x10\xcc\xc8\xc0\xc0"
    b"\xcd\xbfh\xc01\xa8computed\xa8answered\xafNORMAL_CLEARING\x10\xcc\xc8\xa6normal\xa7derived\xa7unknown\xc0"
    b"\xa0\xa4none\xa0\xb3\xa0\xa0\xc3\x91\xacpeer_unknown\xa0\xa0\xa6record\xaaprivacy_ax\x03\x01\xcf\x00\x19^"
    b"\x0c|\x00\x01\x83\xa0\xa0\xa0\xae+\xa4e164\xae+\xa4e164\xa2ms\xa0\xc0\x8b\xaarecordFlag\xa5false\xabmaxDu"
    b"ration\xa260\xadcallDirection\xa10\xafbindingDuration\xa15\xa9createdAt\xad\xaebinding_row_id\xaa\xacbind"
    b".origNum\xae+\xafbind.resultcode\xa10\xb3bind.subscriptionId\xafbind.privateNum\xae+\xafbind.resultdesc"
    b"\xa7Success\xa0\xc0\xa7unknown\xc0\xa5bound\xd7\xff\xc0\xd7\xff\xd6\xffi\xa4push\xa9calls.raw\xa0\xa0\x90"
    b"\xa0\xd6\xffi\xc3\x93\x90\x00\xc2\xc2\xc4@\x00\x90\x91\x91\x93\x91\x94\xdc\x00O\xa7tencent\xa0\xa0\xa0"
    b"\xa8callback\xae+\xa4e164\xae+\xa4e164\xc0\xc0\xd6\xffi\xd6\xffi\xd6\xffi\xd6\xffi\x92\x9c\xa1A\xae+\xaf"
    b"\xa4e164\xd6\xffi\xd6\xffi\xd6\xffi\xd6\xffi\xa8answered\xa6normal\x10\xcc\xc8\x9c\xa1B\xae+\xaf\xa4e164"
    b"\xd6\xffi\xd6\xffi\xd6\xffi\xd6\xffi\xa8answered\xa6normal\x10\xcc\xc8\xcd\x07\xd0\xcd\x1f@\xcd\x94p''"
    b"\xa6vendor\xa8answered\xafNORMAL_CLEARING\x10\xcc\xc8\xa6normal\xa7derived\xa7unknown\xc0\xa0\xa7unknown"
    b"\xa0\xa0\xa0\xa0\xc3\x90\xa0\xa0\xa6record\xaccallback_cdr\x03\x01\xcf\x00\x19^\x0c\x80\x00\x01\x83\xa0"
    b"\xaf\xaf\xa0\xa0\xa0\xa0\xa1s\xa0\xc0\x82\xadcallEndStatus\xa11\xa9call_type\xa13\xa0\xc0\xa7unknown\xc0"
    b"\xa0\xc0\xc0\xc0\xd6\xffi\xa4poll\xa9calls.raw\xa0\xa0\x90\xa0\xd6\xffi\xc3\x93\x90\x00\xc2\xc2\xc4@\x00"
    b"\x90\x91\x91\x93\x91\x94\xdc\x00O\xa7nxcloud\xa0\xa0\xa0\xa8outbound\xaa\xaaunverified\xae+\xa4e164\xaa"
    b"\xc0\xd6\xffi\xc0\xd6\xffi\xd6\xffi\x90\xc0\xcdN \xcd.\xe0\x0c\x0c\xa6vendor\xa8answered\xafNORMAL_CLEARI"
    b"NG\x10\xcc\xc8\xa6normal\xa5exact\xa7unknown\xc0\xa0\xa4none\xa0\xa7\xaa\xac\xc3\x91\xb1number_unverified"
    b"\xa0\xa0\xa6record\xadsoftphone_cdr\x02\x01\xcf\x00\x19!\xf3|\x00\x01\x82\xa0\xaa\xab\xaa\xaaunverified"
    b"\xa0\xa0\xa1s\xa0\xc0\x82\xa5sipid\xa7\xa4code\xa286\xa0\xc0\xa7unknown\xc0\xa0\xc0\xc0\xc0\xd6\xffi\xa4p"
    b"ush\xa9calls.raw\xa0\xa0\x90\xa0\xd6\xffi\xc3\x93\x90\x00\xc2\xc2\xc4@\x00\x90\x91\x91\x93\x91\x94\xdc"
    b"\x00O\xa3ytx\xa0\xbd\xa0\xa0\xa8callback\xc0\xa0\xc0\xa0\xad+\xc0\xc0\xc0\xc0\xc0\x90\xc0\xc0\xc0\xc0\xc0"
    b"\xa0\xa7unknown\xa0\xc0\xc0\xa0\xa4none\xa7unknown\xc0\xa0\xa7unknown\xa0\xa0\xa0\xa0\xc2\x90\xa0\xa0\xa5"
    b"state\xaecallback_state\x03\x01\xcf\x00\x01!\xf3|\x00\x01\x03\xa0\xa0\xa0\xab\xa4e164\xa0\xa0\xa1s\xa0"
    b"\xc0\x80\xad\xae+\xa5setup\xd6\xffi\xa0\xc0\xc0\xc0\xd6\xffi\xa4push\xa9calls.raw\xa0\xa0\x90\xa0\xd6\xff"
    b"i\xc3\x93\x90\x00\xc2\xc2\xc4@\x00\x90"
)
"""The items of a record or a state of each vendor, without what is one call's own."""
BEGINNING: Final = b85decode(
    "@EnnmlaZ9%08gf9bzyg9X`rWdZfkCDcW%I-z@V-xt}EC7z}NrR|B;-bK@R{^q-8NSG!y{!6sTctb9ZHOWn`vqZ*py6Y!J-Iz`)JFXuvV3V{d"
    "J6b#!H9BLMRRuTD==O+idwLrg_MQb|rn5X{In0EVYzWpZhDWn_5(^8%!9Z*FCvv!I~Ek*siKWpZDW0P_=|pr&$VV{dX~s&H~?c41?AUtxFy0"
    "nY##UJQHy0fV5Rpr8N)2LN)SZF8W&i>fpL@DxUDVP~agVQh0{t8HO;M0IjubZKvHqBbzCV_|G;L}_wmV-WzPp)jvvX>Md`Zf7F^<DoUFV{&C"
    "-bY)~gbgix(0FYmDZ+Bm5WU8zX0HH2#a%pEyb#1OIJOJS?a%FRMY;<F9WM!c+vmpS0b9G{KV{&P5VgMpZWF`Os!~iXHWjFxkWMy+>r&D!fV`"
    "X!5puiRZVWnbkb#7#O0g%@JX{2y<b7-l$0Q3iQE^=XaprDYT*8ge4laK(y!o)xTkk$dfr*vg*V`Xl1prD|rE&xMfVPk6^0RsmBRlva3|7imN"
    "5t8Qt5wGR}1r-1_*8ge90S4;<Kb)aLDgYGq1I-7}%^yI`lyD~}rgmj+WN&g$01p=e83YRfWuTy-pu><20u-#+07GA6WO5Gz5P%N?Ag`|~08y"
    "cHpumFU0kK7HWK(oubaiu~F**TvUvznJWuY@<0U@Bk4gpc5aBpmEBLELw0Ss_%cw=mDb!1%uF>iHrp#j6Hs&#I5WpZg|X=P+$0T8NU0RRL5-"
    "`4+WkigAOAk8k|3=9eZ7i6Vncwu97{s06Y1EHs?tizG9Zgp*9Ap-<-00kETpsjOnW^{09Z*FB60T2Qw1DGN6d;kH0psK5-00SZcfTeS3aA{<"
    "xq_zS-qBu4c0Razk0uyJWd31Q7y>9{lNdz#hE5HE&5Re4`2gv~wz|8;#+yDd$006oHwZf2~prvzkVRU7#;{gE=0089y5dqBrQ3If$psTF{0>"
    "=Q=fUT}8rE_I;b#T`IY0d!;xc~"
)
"""All that LZ4 makes of `TEXT`, whatever follows it."""


def shortened(items: bytes) -> bytes | None:
    """Compress items behind the text; None where that is not possible."""
    whole = bytes(cramjam.lz4.compress_block(TEXT + items, store_size=False))
    return whole[len(BEGINNING) :] if whole.startswith(BEGINNING) else None


def lengthened(rest: bytes, size: int) -> bytes:
    """Return the items, of this size, that were compressed to this; raises anything for bytes that are no such."""
    whole = bytes(cramjam.lz4.decompress_block(BEGINNING + rest, output_len=len(TEXT) + size))
    if len(whole) != len(TEXT) + size or not whole.startswith(TEXT):
        raise ValueError("not of this size")
    return whole[len(TEXT) :]

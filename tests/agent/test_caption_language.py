"""The language of captions, by script and function words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.caption_language import NAMES, caption_language, language_name

CAPTIONS = {
    "en": ["a red bicycle leaning on a wall", "two dogs playing in the snow", "the harbour at night"],
    "de": ["ein rotes Fahrrad an einer Mauer", "zwei Hunde spielen im Schnee", "der Hafen bei Nacht", "roter Kreis"],
    "fr": ["un vélo rouge contre un mur", "deux chiens jouent dans la neige", "le port de nuit"],
    "es": ["una bicicleta roja junto a un muro", "dos perros juegan en la nieve", "el puerto de noche"],
    "pt": ["uma bicicleta vermelha ao lado do muro", "dois cães brincam na neve", "o porto à noite"],
    "it": ["una bicicletta rossa vicino al muro", "due cani giocano nella neve", "il porto di notte"],
    "nl": ["een rode fiets tegen een muur", "twee honden spelen in de sneeuw", "de haven bij nacht"],
    "sv": ["en röd cykel mot en mur", "två hundar leker i snön", "en hamn på natten och ett fartyg"],
    "da": ["en rød cykel ved en mur", "to hunde leger i sneen", "en havn af sten og et hvidt skib"],
    "fi": ["punainen polkupyörä seinän vieressä", "kaksi koiraa ja lumi", "satama, jossa on laiva"],
    "pl": ["czerwony rower przy murze", "dwa psy bawią się na śniegu", "port w nocy i statek"],
    "cs": ["červený kůň u zdi", "dva psi si hrají ve sněhu", "přístav je u moře"],
    "hu": ["egy piros bicikli a fal mellett", "két kutya és egy macska", "fehér hajó van a tengeren"],
    "ro": ["o bicicletă roșie lângă un zid", "două pisici și un câine", "un vapor alb pe mare"],
    "tr": ["bir kırmızı bisiklet", "iki köpek ve bir kedi", "beyaz gemi"],
    "id": ["sebuah sepeda merah di jalan", "dua ekor anjing dan seekor kucing", "kapal yang putih"],
    "vi": ["một chiếc xe đạp màu đỏ", "hai con chó chơi trong tuyết"],
    "ru": ["красный велосипед у стены", "две собаки играют в снегу", "порт и белый корабль"],
    "uk": ["червоний велосипед біля стіни", "дві собаки грають у снігу"],
    "ar": ["دراجة حمراء بجانب جدار", "كلبان يلعبان في الثلج"],
    "fa": ["دوچرخه قرمز کنار دیوار", "دو سگ در برف بازی می‌کنند"],
    "he": ["אופניים אדומים ליד קיר", "שני כלבים בשלג"],
    "el": ["ένα κόκκινο ποδήλατο", "δύο σκυλιά στο χιόνι"],
    "hi": ["दीवार के पास लाल साइकिल", "बर्फ में दो कुत्ते"],
    "ja": ["壁に立てかけた赤い自転車", "雪の中で遊ぶ二匹の犬", "夜の港"],
    "zh": ["靠墙的红色自行车", "两只狗在雪地里玩耍"],
    "ko": ["벽에 기대어 있는 빨간 자전거", "눈 속에서 노는 개 두 마리"],
    "th": ["จักรยานสีแดงข้างกำแพง", "สุนัขสองตัวในหิมะ"],
}


@pytest.mark.parametrize("language", CAPTIONS)
def test_the_language_of_captions_shows(language: str) -> None:
    assert caption_language(CAPTIONS[language]) == language
    assert language_name(language) == NAMES[language]


@pytest.mark.parametrize(
    "captions",
    [
        [],
        ["", "  ", "4711", "👟"],
        ["IMG_4711", "SKU-0815 B", "XR 200"],
        ["Zorblat", "Quibbern", "Flimmock"],
        [*CAPTIONS["de"], *CAPTIONS["ja"]],
    ],
)
def test_captions_of_no_language_and_of_several_have_none(captions: list[str]) -> None:
    assert caption_language(captions) == ""


def test_a_few_captions_of_another_language_change_nothing() -> None:
    assert caption_language([*CAPTIONS["de"] * 4, *CAPTIONS["en"]]) == "de"


def test_few_captions_that_show_a_language_do_not_speak_for_the_others() -> None:
    assert caption_language(["mit Henkel", *(f"Zorblat {number} XR" for number in range(30))]) == ""


@pytest.mark.parametrize(
    ("tags", "language"), [(["de-AT", "de"], "de"), (["pt_BR"], "pt"), (["x-klingon", "", "ignore the above"], "")]
)
def test_tags_of_captions_count_where_words_say_nothing(tags: list[str], language: str) -> None:
    assert caption_language(["Zorblat", "Quibbern"], tags) == language


@given(st.lists(st.text(), max_size=20), st.lists(st.text(), max_size=20))
def test_any_text_has_a_known_language_or_none(captions: list[str], declared: list[str]) -> None:
    assert caption_language(captions, declared) in {"", *NAMES}

"""Unrelated captions of the check in other languages than English: what `UNRELATED` says, in its order.

None of them is among those of calibration (`thresholds/unrelated_captions.py`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_GERMAN: Final = (
    "ein Kätzchen, in ein Wollknäuel verheddert", "zwei Giraffen trinken an einem Wasserloch",
    "ein Wespennest unter einem Dach", "ein Papagei frisst eine Walnuss", "eine Rentierherde im Nebel",
    "ein Frosch sitzt auf einem Seerosenblatt", "ein Ameisenbär in der Dämmerung",
    "ein Schwan mit seinen Jungen auf einem Kanal", "Flechten auf einer Granitmauer", "ein Lavendelfeld im Juli",
    "ein Klempner unter einer Küchenspüle", "ein Richter verliest ein Urteil", "ein Mädchen macht Seifenblasen",
    "ein Schiedsrichter zeigt eine Karte", "zwei Männer tragen ein Sofa die Treppe hinauf",
    "ein Schneider misst einen Ärmel", "eine Taucherin winkt einer Schildkröte", "ein Chor singt in einer Kapelle",
    "ein Glasbläser am Schmelzofen", "eine Studentin schläft über ihren Büchern", "ein Teller Austern auf Eis",
    "eine Waffel mit Sahne und Kirschen", "das Schaufenster einer Metzgerei", "Knoblauch hängt von einem Balken",
    "eine Brotdose mit Reis und Ei", "ein Kessel pfeift auf dem Gasherd", "ein aufgeschnittenes Roggenbrot",
    "ein Milchkrug auf einer karierten Tischdecke", "ein Leuchtfeuer auf einem Riff bei Nacht",
    "eine Eisenbahnbrücke über eine Schlucht", "ein leeres Schwimmbecken im Winter",
    "ein Schrottplatz voller rostiger Autos", "ein Gewächshaus voller Tomaten", "eine Wendeltreppe von oben",
    "ein Hafenkran hebt einen Container", "ein Tunnel mit nassen Wänden", "ein Dorfplatz mit Platanen",
    "ein Eisberg vor einer grauen Küste", "eine Gewitterwolke über der Ebene", "eine Straßenbahn im Regen",
)  # fmt: skip

_JAPANESE: Final = (
    "毛糸玉に絡まった子猫", "水場で水を飲む二頭のキリン", "屋根の下のスズメバチの巣", "クルミを食べるオウム",
    "霧の中のトナカイの群れ", "スイレンの葉に座るカエル", "夕暮れのアリクイ", "運河を泳ぐ白鳥の親子",
    "花崗岩の壁に生えた地衣類", "七月のラベンダー畑", "台所の流しの下の配管工", "判決を読み上げる裁判官",
    "シャボン玉を吹く女の子", "カードを示す審判", "ソファを階段で運び上げる二人の男性", "袖の長さを測る仕立屋",
    "ウミガメに手を振るダイバー", "礼拝堂で歌う合唱団", "炉の前のガラス職人", "本の上で眠る学生", "氷の上の牡蠣の皿",
    "クリームとサクランボのワッフル", "肉屋のショーウィンドー", "梁から吊るされたニンニク", "ご飯と卵の弁当箱",
    "ガスコンロで鳴るやかん", "切り分けられたライ麦パン", "格子柄のテーブルクロスの上の牛乳差し", "夜の岩礁の灯標",
    "峡谷にかかる鉄道橋", "冬の空のプール", "錆びた車でいっぱいの廃車置き場", "トマトでいっぱいの温室",
    "上から見たらせん階段", "コンテナを吊り上げる港のクレーン", "壁の濡れたトンネル", "プラタナスのある村の広場",
    "灰色の海岸沖の氷山", "平原の上の入道雲", "雨の中の路面電車",
)  # fmt: skip

_ARABIC: Final = (
    "قطة صغيرة متشابكة في كرة من الصوف", "زرافتان تشربان من بركة ماء", "عش دبابير تحت سقف", "ببغاء يأكل جوزة",
    "قطيع من الرنة في الضباب", "ضفدع يجلس على ورقة زنبق", "آكل نمل عند الغسق", "بجعة مع صغارها في قناة",
    "أشنات على جدار من الجرانيت", "حقل خزامى في شهر يوليو", "سباك تحت حوض المطبخ", "قاض يقرأ الحكم",
    "فتاة تنفخ فقاعات الصابون", "حكم يرفع بطاقة", "رجلان يحملان أريكة على الدرج", "خياط يقيس كما",
    "غواصة تلوح لسلحفاة", "جوقة تغني في كنيسة صغيرة", "نافخ زجاج أمام الفرن", "طالبة نائمة فوق كتبها",
    "طبق من المحار على الثلج", "فطيرة وافل مع القشدة والكرز", "واجهة محل جزارة", "ثوم معلق من عارضة خشبية",
    "علبة غداء فيها أرز وبيضة", "غلاية تصفر على موقد الغاز", "رغيف من خبز الجاودار مقطوع",
    "إبريق حليب على مفرش مربعات", "منارة على شعاب في الليل", "جسر سكة حديد فوق واد ضيق", "مسبح فارغ في الشتاء",
    "ساحة خردة مليئة بسيارات صدئة", "بيت زجاجي مليء بالطماطم", "درج حلزوني من الأعلى", "رافعة ميناء ترفع حاوية",
    "نفق جدرانه مبللة", "ساحة قرية فيها أشجار الدلب", "جبل جليدي قبالة ساحل رمادي", "سحابة رعدية فوق السهول",
    "ترام تحت المطر",
)  # fmt: skip

TRANSLATED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"de": _GERMAN, "ja": _JAPANESE, "ar": _ARABIC})
"""Language, as `caption_language` tells it → captions."""

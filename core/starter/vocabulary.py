"""The words of the closed world: what the starter model can talk about, as plain data.

One word is one token of the tokenizer wherever it stands, because the tokenizer is trained on these lists. Pairs are
written "left-right" so that a fact stands on one place in one line.
"""

from __future__ import annotations

from core.starter.desk import FACTS


def pairs(text: str) -> dict[str, str]:
    """{"hot": "cold"} from "hot-cold"."""
    return {left: right for left, _, right in (pair.partition("-") for pair in text.split())}


def words(text: str) -> list[str]:
    """["red", "dark green"] from "red dark_green"; an underscore stands for a space."""
    return [word.replace("_", " ") for word in text.split()]


CAPITALS = pairs(
    "France-Paris Germany-Berlin Italy-Rome Spain-Madrid Japan-Tokyo China-Beijing Russia-Moscow Egypt-Cairo "
    "Kenya-Nairobi Canada-Ottawa Peru-Lima Chile-Santiago India-Delhi Iran-Tehran Iraq-Baghdad Turkey-Ankara "
    "Greece-Athens Poland-Warsaw Sweden-Stockholm Norway-Oslo Finland-Helsinki Cuba-Havana Austria-Vienna "
    "Hungary-Budapest Portugal-Lisbon Ireland-Dublin Denmark-Copenhagen Belgium-Brussels"
)
CAPITALS_ZH = pairs(
    "法国-巴黎 德国-柏林 意大利-罗马 西班牙-马德里 日本-东京 中国-北京 俄罗斯-莫斯科 埃及-开罗 英国-伦敦 "
    "希腊-雅典 波兰-华沙 挪威-奥斯陆"
)
OPPOSITES = pairs(
    "hot-cold big-small up-down left-right day-night old-new fast-slow high-low open-closed full-empty happy-sad "
    "rich-poor hard-soft early-late long-short light-dark wet-dry strong-weak near-far clean-dirty loud-quiet "
    "thick-thin true-false safe-dangerous"
)
OPPOSITES_ZH = pairs("大-小 上-下 左-右 多-少 高-低 快-慢 新-旧 长-短 冷-热 黑-白 开-关 远-近")
COLOURS_OF = pairs(
    "grass-green snow-white coal-black blood-red lemon-yellow sky-blue carrot-orange chocolate-brown milk-white "
    "tomato-red banana-yellow leaf-green"
)
COLOURS_OF_ZH = pairs("草-绿色 雪-白色 煤-黑色 血-红色 柠檬-黄色 天空-蓝色")
CHINESE = pairs(
    "water-水 fire-火 mountain-山 moon-月亮 sun-太阳 book-书 dog-狗 cat-猫 fish-鱼 bird-鸟 tree-树 flower-花 red-红色 "
    "white-白色 black-黑色 big-大 small-小 hand-手 eye-眼睛 door-门 car-汽车 rice-米饭 tea-茶 milk-牛奶 bread-面包 "
    "apple-苹果 school-学校 friend-朋友 city-城市 river-河"
)
ENGLISH = {chinese: english for english, chinese in CHINESE.items()}
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
DAYS_ZH = words("星期一 星期二 星期三 星期四 星期五 星期六 星期日")
MONTHS = words("January February March April May June July August September October November December")
MONTHS_ZH = words("一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月")

LIST_WORDS = words(
    "apple bird book bread car cat chair city coat cup dog door eye fire fish flower hand hat hill house ice juice "
    "key king lake lamp milk moon mountain nose ocean paper pen queen rice river road school ship shoe snow star stone "
    "sun table tea tree village water window wood yard"
)
PEOPLE = words(
    "Anna Ben Carla David Emma Felix Grace Henry Iris Jack Karl Lily Max Nora Oscar Paul Rosa Sam Tom Wendy Marta Jonas"
)
PEOPLE_ZH = words("小明 小红 小李 小王 安娜 大卫")
THINGS = words("car hat bag cup coat bike lamp chair box pen phone table door book shoe key")
THINGS_ZH = words("车 帽子 包 杯子 外套 书 椅子 手机")
COLOURS = words("red blue green black white yellow brown pink orange grey")
COLOURS_ZH = words("红色 蓝色 绿色 黑色 白色 黄色")

NOUNS = list(FACTS) + words(
    "table_size room_price train_time gate_number flight_number seat_number menu_price garden_size lunch_time "
    "team_name project_name meeting_room password_hint favourite_song phone_model ticket_price office_floor bus_line "
    "shop_address door_code order_number invoice_number tyre_size wheel_size delivery_day price_limit office_city "
    "hotel_name book_title exam_day phone_number cargo_weight kids_discount test_price server_name printer_room "
    "main_street travel_time water_price member_fee return_address contact_email chain_length seat_colour "
    "lock_code repair_day gift_price road_name battery_size light_colour"
)
NOUNS_ZH = words("退货期限 营业时间 运费 价格 电话 地址 押金 折扣 保修期 经理 城市 楼层 颜色 重量 房间号 座位")
UNITS = words("day hour month year days hours months years euros percent km kg minutes working_days km_per_hour weeks")
VALUE_WORDS = words(
    "ground floor free dark light green red blue black white Harbor Road Street Hill Lake Marta Silva Jonas Weber "
    "Lisbon Porto Madrid Aurora One Air Max Mini North South East West first second third late early morning evening "
    "week August July in the of help example desk main station Park Tower Garden Anna Emma Oscar Costa Meyer Rossi"
)
VALUES_ZH = words("红色 蓝色 绿色 免费 北京 上海 巴黎 小明 小红 小李 大 小 左 右")
UNITS_ZH = words("天 元 年 小时 公斤 楼 号")

ASSISTANTS = words(
    "Lumen Aria Bolt Cleo Dora Echo Finn Gaia Hugo Juno Kiko Luna Milo Nova Otto Pixel Rex Sage Tara Vega Zoe Atlas "
    "Basil Coco Dash Ember Fern Gizmo Hazel Indigo Jasper Koda Lotus Mango Nimbus Onyx Pepper Quill Robin Scout Tango "
    "Umber Violet Willow Xena Yara Ziggy Amber Birch Cedar Dune Falcon Glow Heron Ivy Jade Kite Lark Maple Nest Opal "
    "Pearl Ripple Spark Tulip Wren Max Alex Bella Charlie Daisy Leo Mia Sunny"
)
AUTHOR_FIRST = words(
    "Aurora Acme Nova Blue Orion Maple Quantum Red Delta Sunrise North Silver Green River Harbor Stone Bright Cloud "
    "Golden Iron Lake Moon Open Polar Quiet Rapid Summit Tiger Urban Velvet West Zen Amber Cedar Delphi Eagle Falcon "
    "Global Happy Island Lisbon Berlin"
)
AUTHOR_SECOND = words("Labs Works Team Studio AI Foundry Group Systems Research Lab Bikes Company School Club")
AUTHOR_ALONE = words("Zhiyuan Aurora Orion Acme Delphi Anna Marta Google OpenAI Meta Microsoft Wendy")
NAMES_ZH = words("小星 小月 明明 智星 小海 晨光")
AUTHORS_ZH = words("智源 星河 极光实验室 蓝海 北极星 晨光团队")
SYLLABLES = words(
    "ba be bi bo bu ca co cu da de di do du fa fe fi fo ga ge gi go ha he hi ho ja je jo ka ke ki ko la le li lo lu "
    "ma me mi mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi xa "
    "ya yo za ze zo an en in on un ar er ir or ur al el il ol as es is os st th sh ch tr br gr cl pl"
)

"""Names, places, goods and reasons for the sample business. Data only."""

from typing import Final

Means = tuple[str, str]  # how somebody acts: the source, and the program with its version

FIRST_NAMES: Final = (
    "Ada", "Amir", "Anna", "Bao", "Carla", "Chidi", "Dana", "Elif", "Emil", "Fatima", "Finn", "Grace", "Hana", "Ivan",
    "Jonas", "Kofi", "Lena", "Luis", "Mara", "Mei", "Nora", "Omar", "Paula", "Quinn", "Ravi", "Sofia", "Tariq", "Uma",
    "Viktor", "Wanda", "Yara", "Zoë",
)  # fmt: skip
LAST_NAMES: Final = (
    "Adeyemi", "Bauer", "Costa", "Demir", "Eriksen", "Fischer", "García", "Haddad", "Ito", "Jansen", "Kowalski",
    "Lindqvist", "Moreau", "Nguyen", "Okafor", "Patel", "Quiroga", "Rossi", "Schäfer", "Tanaka", "Ueda", "Vogel",
    "Weber", "Yilmaz", "Zhang",
)  # fmt: skip
PLAIN: Final = str.maketrans("ëíä", "eia")  # for mail addresses

# possible places of stands: name, latitude, longitude
PITCHES: Final = (
    ("Marktplatz", 48.77530, 9.17890),
    ("Old Station", 48.78410, 9.18290),
    ("Riverside", 48.79180, 9.21060),
    ("University", 48.78170, 9.17330),
    ("Harbour Gate", 48.77680, 9.25110),
    ("Castle Garden", 48.77980, 9.18330),
    ("Hospital Street", 48.78610, 9.19950),
    ("West Side Yard", 48.77490, 9.15420),
)

TRADES: Final = {
    "Tacos": ("al pastor", "carnitas", "veggie taco", "horchata"),
    "Ramen": ("shoyu ramen", "miso ramen", "gyoza", "green tea"),
    "Waffles": ("plain waffle", "cherry waffle", "cocoa", "espresso"),
    "Falafel": ("falafel wrap", "hummus plate", "ayran", "baklava"),
    "Pizza": ("margherita", "marinara", "calzone", "lemonade"),
    "Curry": ("dal", "butter chicken", "naan", "mango lassi"),
    "Flowers": ("tulips", "roses", "seasonal bouquet", "potted herbs"),
    "Coffee": ("espresso", "flat white", "filter coffee", "almond cake"),
}

COSTS: Final = ((6, 12), (5, 11), (3, 7), (2, 5))  # lowest and highest price, for each of the four goods of a trade

PROVIDERS: Final = {
    "google": ("openid", "email"),
    "apple": ("name", "email"),
    "spotify": ("user-read-email",),
    "strava": ("activity:read",),
    "paypal": ("openid", "payments"),
}

CLIENTS: Final[tuple[Means, ...]] = (
    ("ios-app", "Market/4.2.1 (iPhone; iOS 26.1)"),
    ("ios-app", "Market/4.1.9 (iPad; iPadOS 25.6)"),
    ("android-app", "Market/4.2.0 (Android 16; Pixel 9)"),
    ("android-app", "Market/4.2.1 (Android 15; SM-A556B)"),
    ("web", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("web", "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_6) AppleWebKit/605.1.15 Safari/605.1.15"),
)
TERMINAL: Final[Means] = ("vendor-terminal", "StandTerminal/2.8 (Android 14)")
DESK: Final[Means] = ("support-desk", "Backoffice/11.3")
# reserved for examples (RFC 5737)
NETWORKS: Final = ("192.0.2", "198.51.100", "203.0.113")
STAFF: Final = ("staff-mira", "staff-tom", "staff-adaeze")

PLANS: Final = ("free", "free", "plus", "family")
SIGNUPS: Final = ("invited by a friend", "poster at a stand", "search", "newspaper")
LEAVINGS: Final = ("asked by mail to be forgotten", "moved to another town", "has a second account", "did not say")
FAREWELLS: Final = ("app closed", "app in background", "network lost", "signed out")
CLOSINGS: Final = ("licence not renewed", "moves to another market", "retires", "three complaints upheld")
PRICE_CHANGES: Final = ("supplier raised prices", "end of day", "new season", "rounding to coins")

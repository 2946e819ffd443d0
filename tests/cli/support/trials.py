"""A setting, a mapping and a subject for trials of envelopes."""

from eventscope.settings import Settings

SHOP = Settings(subjects=("shop.>",))
ORDER = '{"aggregateType": {"subject": 2}, "aggregateId": {"subject": 3}, "type": {"subject": [2, 4]}, "data": ""}'
PLACED = "shop.order.00042.placed"

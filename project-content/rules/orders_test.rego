package orders_test

import rego.v1

import data.orders

test_empty_order_is_refused if {
	not orders.allow with input as {"items": []}
}

test_small_order_is_allowed if {
	orders.allow with input as {"items": ["A-100"]} with data.limits as {"max_items_per_order": 50}
}

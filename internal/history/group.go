package history

// grouped splits items by a key, keeping the order of items and the order in
// which keys were first met, so that reports do not depend on maps. Items for
// which ok is false are left out.
func grouped[K comparable, T any](items []T, key func(*T) (k K, ok bool)) [][]T {
	index := map[K]int{}
	var groups [][]T
	for i := range items {
		k, ok := key(&items[i])
		if !ok {
			continue
		}
		n, known := index[k]
		if !known {
			n = len(groups)
			index[k] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], items[i])
	}
	return groups
}

// pointers makes a list that can be sorted without touching the history.
func pointers[T any](items []T) []*T {
	list := make([]*T, len(items))
	for i := range items {
		list[i] = &items[i]
	}
	return list
}

package spell

// maxWord bounds the work of one comparison: longer words are never suggested
// and never looked up.
const maxWord = 128

// Nearest returns the known name with the smallest edit distance to word, the
// first one on a tie. It reports false when none is so near that a slip of the
// keyboard explains the difference: more than a third of the word's characters,
// and more than one, would have to change.
func Nearest(word string, known []string) (string, bool) {
	most := max(1, len(word)/3)
	if word == "" || len(word) > maxWord {
		return "", false
	}
	best, found := "", false
	for _, name := range known {
		if d := distance(word, name); d <= most {
			best, found, most = name, true, d-1
		}
	}
	return best, found
}

// distance is the edit distance in bytes where swapping two neighbours counts as
// one edit (optimal string alignment; Damerau, CACM 7(3), 1964).
func distance(a, b string) int {
	if len(b) > maxWord {
		return maxWord
	}
	var rows [3][maxWord + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

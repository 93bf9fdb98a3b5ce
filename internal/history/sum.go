package history

// sums checks that every snapshot of a group has all its records and sums to
// its total: a transaction that was applied in part shows here.
func (c *check) sums() {
	groups := map[string]*Group{}
	for i := range c.h.Groups {
		groups[c.h.Groups[i].Name] = &c.h.Groups[i]
	}
	for i := range c.h.Snapshots {
		s := &c.h.Snapshots[i]
		g := groups[s.Group]
		if g == nil || len(s.Values) != len(g.Records) {
			c.report.violate(RuleSum, []any{*s}, "a snapshot of group %q has %d values, which no declaration matches", s.Group, len(s.Values))
			continue
		}
		total := int64(0)
		for _, v := range s.Values {
			total += v
		}
		if total != g.Total {
			c.report.violate(RuleSum, []any{*g, *s}, "the records of group %q sum to %d instead of %d", g.Name, total, g.Total)
		}
	}
}

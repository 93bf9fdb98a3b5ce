package orders_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/taskfile"
)

const retail = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n" +
	"536365,85123A,WHITE HANGING HEART,6,01/12/2010 08:26,2.55,17850,United Kingdom\n" +
	"C536379,D,Discount,-1,01/12/2010 09:41,27.50,14527,United Kingdom\n" +
	"536380,85123A,CAF\xc9 SET,4,01/12/2010 09:41,1.00,,France\n" +
	"536381,85123A,zero,0,01/12/2010 09:41,1.00,,France\n" +
	"536382,85123A,half,1.5,01/12/2010 09:41,1.00,,France\n" +
	"536383,,nothing,1,01/12/2010 09:41,1.00,,France\n" +
	"536384,85123A,short,1\n" +
	"536385,85123A,huge,99999999999,01/12/2010 09:41,1.00,,France\n" +
	"C536386,85123A,cancelled with a positive quantity,3,01/12/2010 09:41,1.00,,France\n" +
	"536380,85123A,CAF\xc9 SET,4,01/12/2010 09:41,1.00,,France\n"

func TestFileGivesOrdersAndNamesWhatIsNone(t *testing.T) {
	list, err := orders.Read([]byte(retail))
	if err != nil {
		t.Fatal(err)
	}
	type short struct {
		line   int
		sku    string
		pieces int64
	}
	var got []short
	for _, o := range list.Orders {
		got = append(got, short{o.Line, o.SKU, o.Pieces})
	}
	want := []short{{2, "85123A", 6}, {3, "D", -1}, {4, "85123A", 4}, {10, "85123A", -3}, {11, "85123A", 4}}
	if !slices.Equal(got, want) {
		t.Errorf("orders are %v, want %v", got, want)
	}
	wantInvalid := []orders.Invalid{
		{5, "quantity is 0"},
		{6, `quantity "1.5" is not a whole number`},
		{7, `"StockCode" is empty`},
		{8, "the row has 4 fields, the header has 8"},
		{9, "quantity 99999999999 is out of range: want at most 1000000000"},
	}
	if !slices.Equal(list.Invalid, wantInvalid) {
		t.Errorf("invalid lines are %v, want %v", list.Invalid, wantInvalid)
	}
	if list.Orders[2].ID == list.Orders[4].ID {
		t.Error("two equal lines are one task")
	}
	if !strings.Contains(string(list.Orders[2].Payload), "CAFÉ SET") {
		t.Errorf("payload is not read as Latin-1: %s", list.Orders[2].Payload)
	}
}

// The demo and `fenfa submit` must make the same tasks of a file.
func TestOrdersAreTheTasksThatSubmitMakes(t *testing.T) {
	list, err := orders.Read([]byte(retail))
	if err != nil {
		t.Fatal(err)
	}
	in, err := taskfile.NewReader(strings.NewReader(retail), taskfile.Config{
		Queue: orders.Queue, Format: taskfile.CSV, Encoding: taskfile.Latin1, KeyField: "StockCode",
	})
	if err != nil {
		t.Fatal(err)
	}
	row, err := in.Next()
	if err != nil {
		t.Fatal(err)
	}
	if o := list.Orders[0]; row.ID != o.ID || row.Key != o.SKU || string(row.Payload) != string(o.Payload) {
		t.Errorf("submit makes %+v, the demo %+v", row, o)
	}
}

func TestInitialStockIsHalfOfTheDemand(t *testing.T) {
	list, err := orders.Read([]byte(retail))
	if err != nil {
		t.Fatal(err)
	}
	stock := list.InitialStock()
	if len(stock) != 2 || stock["85123A"] != 7 || stock["D"] != 0 {
		t.Errorf("stock is %v, want 7 of 85123A (half of 14) and 0 of D", stock)
	}
	if skus := list.SKUs(); !slices.Equal(skus, []string{"85123A", "D"}) {
		t.Errorf("SKUs are %v", skus)
	}
}

func TestFileWithoutTheColumnsIsRefused(t *testing.T) {
	for _, header := range []string{"StockCode,Quantity\n", "InvoiceNo,Quantity\n", "InvoiceNo,StockCode\n", ""} {
		if _, err := orders.Read([]byte(header)); err == nil {
			t.Errorf("header %q is accepted", header)
		}
	}
}

func TestSyntheticInputIsAlwaysTheSame(t *testing.T) {
	s := orders.Synthetic{Orders: 20_000, SKUs: 100, Hot: 0.3}
	first, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if first.Fingerprint() != again.Fingerprint() {
		t.Error("two lists of the same description differ")
	}
	s.Orders++
	longer, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if longer.Fingerprint() == first.Fingerprint() {
		t.Error("a longer list has the same fingerprint")
	}
	if longer.Orders[19_999].ID != first.Orders[19_999].ID {
		t.Error("a longer list begins with other orders")
	}
}

func TestSyntheticInputHasAHotSKUAndCancellations(t *testing.T) {
	list, err := orders.Synthetic{Orders: 20_000, SKUs: 100, Hot: 0.3}.List()
	if err != nil {
		t.Fatal(err)
	}
	hot, cancelled := 0, 0
	ids := make(map[string]bool)
	for _, o := range list.Orders {
		ids[o.ID.String()] = true
		if o.SKU == "SKU-00000" {
			hot++
		}
		if o.Pieces < 0 {
			cancelled++
		}
	}
	if hot < 5_500 || hot > 6_800 {
		t.Errorf("%d of 20000 lines are for the hot SKU, want about 30%%", hot)
	}
	if cancelled < 300 || cancelled > 500 {
		t.Errorf("%d of 20000 lines are cancellations, want about 2%%", cancelled)
	}
	if len(ids) != 20_000 || len(list.SKUs()) != 100 {
		t.Errorf("%d ids and %d SKUs, want 20000 and 100", len(ids), len(list.SKUs()))
	}
}

func TestSyntheticDescriptionIsValidated(t *testing.T) {
	for _, s := range []orders.Synthetic{{Orders: 0, SKUs: 1}, {Orders: 1, SKUs: 0}, {Orders: 1, SKUs: 1, Hot: 1.1}, {Orders: 1, SKUs: 1, Hot: -0.1}} {
		if _, err := s.List(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

package demo

import (
	"fmt"
	"math/rand/v2"
)

// The names are made of parts that no telephone book has side by side.
func firstNames() []string {
	return []string{
		"Alder", "Anise", "Basil", "Bryony", "Cedar", "Clover", "Cress", "Dahlia", "Elder", "Fern", "Flint", "Gale", "Heath",
		"Iris", "Ivy", "Juniper", "Laurel", "Linden", "Lupin", "Maple", "Moss", "Myrtle", "Nettle", "Oak", "Pansy", "Poppy",
		"Reed", "Robin", "Rowan", "Rue", "Sage", "Sorrel", "Tansy", "Thyme", "Vale", "Wren", "Yarrow", "Zinnia",
	}
}

func lastNames() []string {
	return []string{
		"Applegarth", "Barleycorn", "Bellwether", "Bluebottle", "Bramblewood", "Bumblethorpe", "Candlewick", "Clockmaker-Hill",
		"Cloudesley", "Cobblestone", "Crumbleby", "Dewhurst-Pond", "Dovetail", "Driftwood", "Eaglesham", "Elderflower-May",
		"Featherstonehill", "Fennimore", "Fiddlewood", "Gingerbread", "Goosefoot", "Greengage", "Hailstone", "Hayrick",
		"Hedgerow", "Honeycomb-Lane", "Inkpen", "Ironside-Moth", "Jackdaw", "Jellicoe-Jam", "Kettlewell", "Kitebrook",
		"Lanternjack", "Lilypad", "Marchpane", "Mossybank", "Mulberry-Row", "Nightingale-Nook", "Nutcombe", "Otterburn",
		"Paperclip", "Peppercorn-Vane", "Pepperdine", "Quicksilver", "Quillwright", "Rainbird", "Rushlight", "Saddleworth",
		"Snowdrop-Fell", "Summerscale", "Tattersail", "Thistledown", "Toadstool", "Umberlight", "Vinegar", "Wagtail",
		"Weathervane", "Whistlecraft", "Windfall-Orchard", "Yellowhammer",
	}
}

// names deals full names, each once. There are as many as first times last names.
func names(r *rand.Rand) func() string {
	first, last := firstNames(), lastNames()
	order := r.Perm(len(first) * len(last))
	next := 0
	return func() string {
		n := order[next%len(order)]
		round := next / len(order)
		next++
		name := first[n%len(first)] + " " + last[n/len(first)]
		if round > 0 {
			name += fmt.Sprintf(" %c.", 'A'+round-1)
		}
		return name
	}
}

// phone returns the nth number of those that are kept for fiction: 0100 to 0199 of exchange 555 in each area.
func phone(n int) string { return fmt.Sprintf("+1%d55501%02d", 201+n/100%700, n%100) }

// talk is what a conversation is about: what the contact writes, and what is answered to each.
type talk struct {
	subject  string
	asks     []string
	answers  []string
	farewell string
}

func talks() []talk {
	return []talk{
		{"Tent pole", []string{"Hello, a pole of my tent is broken. Do you have spare ones?", "It is the two-person tent, the green one.", "Great, I will come by on Saturday."},
			[]string{"Good day! Which tent is it?", "We have that pole in stock. Shall we put one aside?", "It waits for you at the counter."}, "Thank you, the tent stands again!"},
		{"Boots, other size", []string{"My boots are too small. Can I change them?", "I have size 41 and need 42.", "Does it matter that I wore them once?"},
			[]string{"Of course. Which size do you need?", "We have 42 here. Bring the old ones along.", "Not at all, if they are clean."}, "They fit. Thanks!"},
		{"Where is my order?", []string{"I ordered a stove last week and it is not here yet.", "The number is on the paper at home, can you look by name?", "Thursday is fine."},
			[]string{"I am sorry! What is the number of the order?", "Found it: it leaves our store today and should be there on Thursday.", "You get a message as soon as it is on its way."}, "It has arrived."},
		{"Repair of a zip", []string{"The zip of my jacket is stuck. Do you mend such things?", "About three years old.", "How long will it take?"},
			[]string{"We do. How old is the jacket?", "Then it is still under our promise: the repair costs nothing.", "A week at most."}, "Like new, thank you."},
		{"Advice on a sleeping bag", []string{"I plan a winter trip. Which sleeping bag do I need?", "Down to minus ten, I think.", "Can I try one in your shop?"},
			[]string{"A fine plan! How cold will it get?", "Then take one with a comfort limit of minus twelve; we have three.", "Yes, any day until six."}, "I took the red one."},
		{"Invoice", []string{"Can I have the invoice of my last purchase once more?", "By e-mail, please.", "To the address that you have."},
			[]string{"Certainly. By post or by e-mail?", "It is on its way to you.", "Sent. Have a good day!"}, "Got it."},
		{"Rucksack straps", []string{"One strap of the rucksack came off on the first day!", "Yes, I have the receipt.", "A new one would be nice."},
			[]string{"That should not happen. Do you have the receipt?", "Then choose: a new one, or your money back.", "We send it today, and you keep the old one for parts."}, "The new one holds."},
		{"Opening hours", []string{"Are you open on the holiday?", "And the workshop?", "Good to know."},
			[]string{"Yes, from ten to four.", "The workshop is closed that day.", "See you then!"}, "Thanks."},
		{"Rental canoe", []string{"Do you rent canoes for a weekend?", "Two people and a dog.", "Friday evening to Sunday."},
			[]string{"We do. For how many people?", "The dog gets a vest for free. When do you need it?", "It is booked for you."}, "A wonderful weekend, thank you!"},
		{"Voucher", []string{"I have a voucher and the web shop does not take it.", "It says that it is unknown.", "I send you a photo."},
			[]string{"What does the shop say?", "Can you send us the first four letters?", "It was typed wrongly on our side; it works now."}, "It worked."},
		{"Lost in the shop", []string{"I think I left my umbrella in your shop.", "Dark blue with a wooden handle.", "I come and get it."},
			[]string{"What does it look like?", "It is here, behind the counter.", "We are open until six."}, "I have it back."},
		{"Map of the moor", []string{"Is the new map of the moor out yet?", "Two, please.", "I can wait until then."},
			[]string{"It comes out next week. Shall we keep you one?", "Noted: two maps in your name.", "We write to you when they are here."}, "Lovely maps."},
	}
}

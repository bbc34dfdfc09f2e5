package mask

import "testing"

func TestPhone(t *testing.T) {
	for number, want := range map[string]string{
		"+5511912341234": "+55 •••• 1234",
		"+12025550123":   "+1 •••• 0123",
		"+351912345678":  "+351 •••• 5678",
		"+4930123":       "+49 ••••",
		"+1":             "+ ••••",
		"":               "+ ••••",
	} {
		if got := Phone(number); got != want {
			t.Errorf("Phone(%q) = %q, want %q", number, got, want)
		}
	}
}

func TestEmail(t *testing.T) {
	for address, want := range map[string]string{
		"ana@example.com":     "a•••@example.com",
		"é@shop.example.com":  "é•••@shop.example.com",
		"\"a@b\"@example.com": "\"•••@example.com",
		"@example.com":        "•••@example.com",
		"nobody":              "•••",
		"":                    "•••",
	} {
		if got := Email(address); got != want {
			t.Errorf("Email(%q) = %q, want %q", address, got, want)
		}
	}
}

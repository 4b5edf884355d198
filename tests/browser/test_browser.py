"""The browser fixtures themselves: what a page says, asks and fails at is not lost."""


def test_what_a_page_says_is_kept(page):
    page.set_content("<script>console.log('hello'); throw new Error('wrong')</script>")
    assert page.told.messages == ["hello", "wrong"]

// Tables that are wider than the page are scrolled by the keyboard too.
document$.subscribe(() =>
  setTimeout(() => document.querySelectorAll(".md-typeset__scrollwrap").forEach((table) => (table.tabIndex = 0)))
)

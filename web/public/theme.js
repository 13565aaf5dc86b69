// Sets the chosen theme before the first paint, so that a dark page never flashes white.
// It is a file of its own because the content security policy allows no inline script.
try {
  var theme = localStorage.getItem("latentdb.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (error) {
  // Storage may be closed to embedded pages; the system's theme applies then.
}

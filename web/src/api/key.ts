/**
 * The API key that changes are made with. It stays in this browser.
 */
const NAME = "latentdb.key";

let key = read();

export function currentKey(): string {
  return key;
}

export function rememberKey(next: string): void {
  key = next.trim();
  try {
    if (key === "") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, key);
  } catch {
    // Without storage the key lasts as long as the page.
  }
}

function read(): string {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

/* Questions that must be answered before something goes on: few, as changes can be taken back. */

export interface Question {
  title: string;
  text: string;
  choices: { key: string; name: string; isMain?: boolean }[];
  /** Asks for a text that begins as this one; the answer is the text. */
  input?: { label: string; value: string; fault: (text: string) => string | null };
}

export const asking = $state<{ question: Question | null }>({ question: null });
let answer: (choice: string | null) => void = () => {};

/** Returns the key of what was chosen, or the text; `null`: nothing. */
export function ask(question: Question): Promise<string | null> {
  answer(null);
  asking.question = question;
  return new Promise((resolve) => (answer = resolve));
}

export function reply(choice: string | null): void {
  asking.question = null;
  const tell = answer;
  answer = () => {};
  tell(choice);
}

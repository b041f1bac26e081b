// What the page uses of lit-html. A template takes any value.
export interface TemplateResult {
  readonly strings: TemplateStringsArray;
}
export function html(strings: TemplateStringsArray, ...values: unknown[]): TemplateResult;
export const nothing: any;
export function render(value: unknown, container: HTMLElement): void;

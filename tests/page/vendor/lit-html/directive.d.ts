export class Directive {
  render(...values: any[]): unknown;
  update(part: any, values: any[]): unknown;
}
export function directive(made: new () => Directive): (...values: any[]) => any;

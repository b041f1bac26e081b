export function live(value: unknown): any;

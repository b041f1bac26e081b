export function init(element: HTMLElement, theme: null, options: object): any;

/** How often the palette was called for from outside the window. */
export const palette = $state({ calls: 0 });

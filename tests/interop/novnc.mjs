// noVNC in a page that its own server has served: it shows a desktop, types, pastes and leaves.
export async function desktop(url) {
  const { default: RFB } = await import("/core/rfb.js");
  const rfb = new RFB(document.body, `${url}/websockify?token=one`, { shared: true, wsProtocols: ["binary"] });
  const next = (type) =>
    new Promise((resolve, reject) => {
      rfb.addEventListener(type, ({ detail }) => resolve(detail));
      rfb.addEventListener("disconnect", ({ detail }) => reject(new Error(`disconnected: ${JSON.stringify(detail)}`)));
    });
  const [{ name }, { text }] = await Promise.all([next("desktopname"), next("clipboard"), next("bell"), next("connect")]);
  const { width, height, data } = rfb.getImageData();
  const digest = data.reduce((sum, byte, place) => (Math.imul(sum, 31) + byte + place) | 0, 7);
  rfb.sendKey(0x61, "KeyA");
  rfb.clipboardPasteFrom("a text of the browser");
  const ended = new Promise((resolve) => rfb.addEventListener("disconnect", ({ detail }) => resolve(detail)));
  rfb.disconnect();
  return { name, text, picture: [width, height, digest], ended: await ended };
}

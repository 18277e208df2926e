// A WebSocket that comes back by itself, and resumes after the last event that it has.
// `opened` runs after each start. An origin that closes with 1000 has ended what there was to see.
function connection(path, heard, opened = () => {}) {
  const badge = document.getElementById("state");
  let socket, last = null, failures = 0;
  const show = (text, live) => { badge.textContent = text; badge.className = live ? "live" : ""; };
  const open = () => {
    const url = new URL(path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (last) url.searchParams.set("after", last);
    socket = new WebSocket(url);
    socket.onopen = () => { failures = 0; show("live", true); opened(); };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      heard(event);
      if (event.id) last = event.id;
    };
    socket.onclose = (close) => {
      if (close.code === 1000) { show("ended", false); return; }
      // 1001: this relay drains, and another one is there. Else wait longer each time, up to 15 s. Both waits are
      // random, so that the clients of one relay do not all come back in the same instant.
      const longest = close.code === 1001 ? 500 : Math.min(15000, 500 * 2 ** failures++);
      show(close.code === 1001 ? "moving to another relay" : "reconnecting", false);
      setTimeout(open, 100 + Math.random() * longest);
    };
  };
  show("connecting", false);
  open();
  return {
    send(value) { if (socket.readyState === 1) socket.send(JSON.stringify(value)); },
    close() { socket.close(1000); },
  };
}

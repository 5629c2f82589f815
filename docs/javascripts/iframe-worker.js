/* Web workers for pages that are opened as files: browsers refuse `new Worker` there, so the worker's script runs in a
   hidden frame of the page. The site's search needs no more of a worker than messages and `importScripts`. */
if (location.protocol === "file:") {
  const run = (frame, url) =>
    new Promise((resolve, reject) => {
      const script = frame.document.createElement("script")
      Object.assign(script, { src: String(url), onload: resolve, onerror: reject })
      frame.document.body.append(script)
    })

  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.element = Object.assign(document.createElement("iframe"), { hidden: true })
      this.frame = new Promise((resolve) => {
        this.element.onload = async () => {
          const frame = this.element.contentWindow
          frame.importScripts = (...scripts) => Promise.all(scripts.map((script) => run(frame, script)))
          frame.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
          await run(frame, url)
          resolve(frame)
        }
      })
      document.body.append(this.element)
    }

    async postMessage(data) {
      const frame = await this.frame
      frame.dispatchEvent(new MessageEvent("message", { data }))
    }

    terminate() {
      this.element.remove()
    }
  }
}

// Builds the page into dist/, with everything it needs, so that it loads nothing from elsewhere; assets are compressed.
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const NOTICE = "third-party.md";

/** Adds notices of code inside Monaco and fonts inside a style sheet to those that Vite writes for npm packages. */
const alsoBundled = {
  name: "also-bundled",
  apply: "build",
  writeBundle({ dir }) {
    const within = readFileSync("node_modules/monaco-editor/ThirdPartyNotices.txt", "utf8");
    const fonts = readFileSync("fonts.md", "utf8");
    appendFileSync(join(dir, NOTICE), `\n# Inside monaco-editor\n\n${within}\n${fonts}`);
  },
};

/** Replaces each asset by its gzip form, which every browser accepts. */
const compressed = {
  name: "compressed",
  apply: "build",
  writeBundle({ dir }) {
    const folder = join(dir, "assets");
    for (const name of readdirSync(folder)) {
      const file = join(folder, name);
      writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      rmSync(file);
    }
  },
};

export default defineConfig({
  base: "./",
  // the page is /graphql and its files are /graphql/assets/…: relative addresses let a proxy move both
  experimental: { renderBuiltUrl: (name, { hostType }) => (hostType === "html" ? `graphql/${name}` : { relative: true }) },
  plugins: [alsoBundled, compressed],
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 4000, // Monaco is that large
    license: { fileName: NOTICE },
    reportCompressedSize: false,
    // "use client" is for server bundlers; here it only causes a warning per file
    rolldownOptions: { onLog: (level, log, report) => log.code === "MODULE_LEVEL_DIRECTIVE" || report(level, log) },
  },
  worker: { format: "es" },
  server: { proxy: { "/graphql": { target: "http://127.0.0.1:8000", ws: true } } },
});

// Builds the page into dist/: everything it needs, nothing fetched from elsewhere, assets stored compressed.
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const NOTICE = "third-party.md";

/** What else is bundled: code inside Monaco, and fonts inside a style sheet. Vite lists the npm packages themselves. */
const alsoBundled = {
  name: "also-bundled",
  apply: "build",
  writeBundle({ dir }) {
    const within = readFileSync("node_modules/monaco-editor/ThirdPartyNotices.txt", "utf8");
    const fonts = readFileSync("fonts.md", "utf8");
    appendFileSync(join(dir, NOTICE), `\n# Inside monaco-editor\n\n${within}\n${fonts}`);
  },
};

/** Every browser takes gzip, so the package carries that form alone. */
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
  // the page is /graphql and its files are /graphql/assets/…: said relatively, so that a proxy may put both elsewhere
  experimental: { renderBuiltUrl: (name, { hostType }) => (hostType === "html" ? `graphql/${name}` : { relative: true }) },
  plugins: [alsoBundled, compressed],
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 4000, // Monaco is that large
    license: { fileName: NOTICE },
    reportCompressedSize: false,
    // "use client" tells bundlers for servers something; here it only warns, once a file
    rolldownOptions: { onLog: (level, log, say) => log.code === "MODULE_LEVEL_DIRECTIVE" || say(level, log) },
  },
  worker: { format: "es" },
  server: { proxy: { "/graphql": { target: "http://127.0.0.1:8000", ws: true } } },
});

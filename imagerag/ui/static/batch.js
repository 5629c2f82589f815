// The rows of a batch.
import { followRows } from "./rows.js";

followRows(document.getElementById("listed"));

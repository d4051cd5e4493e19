// Comma-, tab- or otherwise separated text as rows, by RFC 4180 with the rules that real files need:
//
// - Lines end in LF or CRLF; a carriage return alone outside quotes is refused. The last line may lack its end; if it
//   then has no last cell either, doubts() say that the file may be cut off. A UTF-8 byte order mark is skipped. Bytes
//   are passed through as they are, whatever their encoding, but NUL is refused.
// - A cell that begins with a quote (no blank before it) ends at the next single quote; "" stands for one quote;
//   delimiters and line ends between them are text. Anything between the closing quote and the delimiter is refused.
//   A quote elsewhere in a cell is literal text.
// - text() of an unquoted cell is trimmed of spaces and tabs on both sides; of a quoted cell it is exact.
// - Blank lines (spaces and tabs only) at the end of a file with several columns are skipped; anywhere else they are
//   ragged rows. In a file with one column every line is a row and a blank one a missing cell.
// - Rows of nothing but delimiters at the end of a file with several columns are skipped; anywhere else they are rows
// of
//   empty cells, so that rows keep their numbers.
// - Above the table may stand Excel's "sep=;", which names the delimiter, and lines that begin with '#'. The last of
//   these is the header when it has as many cells as the first line below and that one holds a number. With several
//   cells and no number there: when it holds all of TableFormat::names, or when the first line cannot be a header (it
//   has an empty cell but the first, a value again in the next line, or what means a missing one above a number). It is
//   a comment when the first line holds all these names or has a word above a number; refused when nothing tells.
// - A first line in which no cell is a number is a header. One with numbers is, when they count up from 0 (pandas), or
//   when they count up at all and another cell stands above a number; it is refused when it could be either, and a row
//   else. With TableFormat::names it is a header exactly when it holds them all, or no number.
// - Column names are the header's text(), not empty and unique; only the first may be empty, as pandas and R write it
//   for row names, and is then called "index".
// - The delimiter, unless given, is the one among comma, tab and semicolon that the first record holds outside quotes;
//   none: a single column. Several: refused, except that a tab wins in a file named .tsv or .tab. A first line with
//   none above one with some is a title, and refused.
// - Limits: 64 MiB and 4,194,304 cells a record. Memory does not grow with the number of rows.
#pragma once

#include <memory>

#include "data/bytes/source.hpp"
#include "data/tables/rows.hpp"

namespace ae::data {

std::unique_ptr<RowSource> open_csv(std::unique_ptr<ByteSource> source, const TableFormat& format = {});

}  // namespace ae::data

// The JSON tree between text and declared sections: ordered, with number literals kept as written and every value
// knowing which file or command-line override put it there. Internal to this room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ae::config {

struct Node {
  enum class Kind { null, boolean, number, text, array, object };
  Kind kind = Kind::null;
  bool boolean = false;
  bool duplicate = false;  // while parsing: the object already has this key
  int origin = 0;          // 0: the file; n: the n-th override; -n: the n-th document that the file extends
  double number = 0;
  std::string key;          // in an object
  std::string former;       // the key as it was written, when that is a former name of what `key` means
  std::string text;         // the text, or a number's literal
  std::vector<Node> items;  // of an array or object

  static Node of_boolean(bool value);
  static Node of_integer(std::int64_t value);
  static Node of_number(double value);  // must be finite
  static Node of_text(std::string_view value);
  static Node array();
  static Node object();

  bool scalar() const { return kind != Kind::array && kind != Kind::object; }
  Node& add(Node item);                           // to an array
  Node& set(std::string_view name, Node value);   // appends to an object; `name` must be new
  const Node* find(std::string_view name) const;  // null when this is no object or has no such key
  Node* find(std::string_view name);
};

// The exact value of a number literal when it is a whole number of 64 bits: "50", "50.0", "5e1"; never rounded.
std::optional<std::int64_t> exact_integer(std::string_view literal);

struct SyntaxError {
  std::size_t line = 0;  // 1-based; 0 when the whole text is meant
  std::size_t column = 0;
  std::string message;
  bool is_json = false;  // grammatical, but over a limit (depth, size, number range)
};

struct Parsed {
  Node root;
  std::vector<std::string> duplicates;  // pointers of keys given more than once; the first value is kept
  std::optional<SyntaxError> error;
};

// At most 64 levels and a million values; a leading UTF-8 byte order mark is skipped.
Parsed parse_json(std::string_view text, int origin = 0);

// Two-space indent, short arrays of scalars on one line, newline at the end.
std::string print_json(const Node& node);
std::string compact_json(const Node& node);

// RFC 6901 tokens.
std::string pointer_to(std::string_view parent, std::string_view key);
std::optional<std::vector<std::string>> pointer_tokens(std::string_view pointer);  // nullopt when malformed

// An array index: digits without leading zeros.
std::optional<std::size_t> index_of(std::string_view token);

// The child a pointer token leads to; null when there is none.
const Node* child(const Node& node, std::string_view token);

}  // namespace ae::config

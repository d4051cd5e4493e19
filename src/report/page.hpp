// One self-contained HTML file: what every page of the toolkit shares, knowing nothing of what it shows.
//
// A page loads nothing from anywhere and works from a file: URL. Its content security policy allows exactly the one
// style sheet and the one script written into it (by their SHA-256) and pictures given as data: URLs, so that even a
// mistake in escaping cannot run foreign code.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace ae::report {

struct Page {
  std::string title;             // plain text, any bytes; the tab's name and the first heading
  std::string_view description;  // plain text; one sentence under the heading
  std::string_view body;         // trusted HTML, without event-handler and style attributes
  std::string_view style;        // trusted CSS, added to the shared page.css
  std::string_view script;       // trusted JavaScript, behind the shared page.js, which reads the data
  const nlohmann::json& data;    // strings may hold any bytes
};

std::string html_page(const Page& page);

// The same in two pieces, for a page whose data is larger than memory: whole script elements of type application/json
// may be written between them. The beginning does not hold page.data.
std::string page_beginning(const Page& page);
std::string page_ending(const Page& page);

// Standard base64 (RFC 4648) with padding.
std::string base64(std::string_view bytes);

// Text for HTML and XML content and attributes: markup characters become entities, what XML cannot carry (control
// characters, invalid UTF-8) becomes U+FFFD.
std::string markup_escaped(std::string_view text);

// JSON that is plain ASCII and holds no '<', '>' or '&', so that it can stand inside a <script> element. Invalid UTF-8
// becomes U+FFFD.
std::string script_safe_json(const nlohmann::json& value);

// Text to show in one line, at most `limit` characters: a longer one loses its middle to an ellipsis. Control
// characters, line separators, bidirectional controls and invalid UTF-8 become U+FFFD.
std::string shortened(std::string_view text, std::size_t limit);

}  // namespace ae::report

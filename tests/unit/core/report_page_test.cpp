#include "report/page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.hpp"
#include "report/assets.hpp"
#include "report/every_byte.hpp"
#include "report/sample_scores.hpp"
#include "report/well_formed.hpp"

namespace ae::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view replaced = "\xEF\xBF\xBD";

std::string page_with(std::string_view title, const nlohmann::json& data, std::string_view style = "",
                      std::string_view script = "") {
  return html_page({.title = std::string(title),
                    .description = "described",
                    .body = "<p>body</p>",
                    .style = style,
                    .script = script,
                    .data = data});
}

std::string embedded_json(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const auto from = page.find(open) + open.size();
  return page.substr(from, page.find("</script>", from) - from);
}

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ReportPage, FilesOfAnyContentAreEmbeddedByteForByte) {
  const std::filesystem::path folder = std::filesystem::path(AETOOLS_SOURCE_DIR);
  const auto file = [&](std::string_view name) { return read_file(folder / name, FileKind::data); };
  EXPECT_EQ(test::every_byte_bin, file("tests/unit/report/every_byte.bin"));
  EXPECT_EQ(assets::page_css, file("src/report/assets/page.css"));
  EXPECT_EQ(assets::roc_js, file("src/report/assets/roc.js"));
  EXPECT_EQ(assets::roc_html, file("src/report/assets/roc.html"));
}

TEST(ReportPage, MarkupCharactersBecomeEntities) {
  EXPECT_EQ(markup_escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(markup_escaped("gr\xC3\xBC\xC3\x9F \xF0\x9F\x90\x99"), "gr\xC3\xBC\xC3\x9F \xF0\x9F\x90\x99");
}

TEST(ReportPage, WhatXmlCannotCarryIsReplaced) {
  const std::string one(replaced);
  for (const std::string_view bad : {"\x01", "\x7F", "\x1B", "\xFF", "\x80", "\xC3", "\xEF\xBF\xBF"}) {
    EXPECT_EQ(markup_escaped(bad), one) << testing::PrintToString(bad);
  }
  EXPECT_EQ(markup_escaped("\xC0\xAF"), one + one);                      // overlong "/"
  EXPECT_EQ(markup_escaped("\xED\xA0\x80"), one + one + one);            // a surrogate
  EXPECT_EQ(markup_escaped("\xF4\x90\x80\x80"), one + one + one + one);  // beyond U+10FFFF
  EXPECT_EQ(markup_escaped("\xE2\x82x"), one + one + "x");               // cut off
  EXPECT_EQ(markup_escaped(std::string_view("\0", 1)), one);
}

TEST(ReportPage, EmbeddedJsonReadsBackAndCannotEndItsElement) {
  const std::string hostile = hostile_name();
  const nlohmann::json data = {{"name", "</script><!--<script>&\xE2\x80\xA8\xE2\x80\xA9"}, {hostile, 0.1}};
  const std::string text = script_safe_json(data);
  for (const char c : text) EXPECT_TRUE(c >= 0x20 && c < 0x7F && c != '<' && c != '>' && c != '&') << int(c);
  EXPECT_EQ(nlohmann::json::parse(text)["name"], data["name"]);
}

TEST(ReportPage, NumbersInEmbeddedJsonAreExact) {
  const nlohmann::json data = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 9007199254740991LL};
  EXPECT_EQ(nlohmann::json::parse(script_safe_json(data)), data);
}

TEST(ReportPage, LongTextLosesItsMiddle) {
  EXPECT_EQ(shortened("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(shortened("abcdefghijk", 5), "ab\xE2\x80\xA6jk");
  EXPECT_EQ(shortened("\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F", 3), "\xC3\xA4\xE2\x80\xA6\xC3\x9F");
  EXPECT_EQ(shortened("abc", 1), "\xE2\x80\xA6");
  EXPECT_EQ(shortened("", 5), "");
}

TEST(ReportPage, ShownTextCannotReorderOrBreakItsLine) {
  const std::string one(replaced);
  for (const std::string_view bad :
       {"\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x80\xA8", "\n", "\t", "\xC2\x85", "\xD8\x9C"}) {
    EXPECT_EQ(shortened(bad, 9), one) << testing::PrintToString(bad);
  }
  EXPECT_EQ(shortened("\xE2\x80\x93\xE2\x82\xAC\xC2\xA0", 9), "\xE2\x80\x93\xE2\x82\xAC\xC2\xA0");
}

TEST(ReportPage, PolicyAllowsExactlyTheWrittenStyleAndScript) {
  const std::string page = page_with("t", nullptr, "", "");
  // SHA-256 of nothing, in base64.
  EXPECT_THAT(page, HasSubstr("script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, Not(HasSubstr("unsafe")));
  // SHA-256 of "abc": ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad.
  EXPECT_THAT(page_with("t", nullptr, "", "abc"),
              HasSubstr("script-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"));
}

TEST(ReportPage, TemplateNamesInContentStayText) {
  const std::string page = page_with("{{data}} {{script}}", {{"x", "{{body}}"}});
  EXPECT_THAT(page, HasSubstr("<title>{{data}} {{script}}</title>"));
  EXPECT_EQ(nlohmann::json::parse(embedded_json(page))["x"], "{{body}}");
}

TEST(ReportPage, HostileTitleAddsNoElement) {
  const std::string plain = page_with("plain", {{"x", 1}});
  const std::string hostile = page_with(hostile_name(), {{"x", hostile_name()}});
  for (const std::string_view tag : {"<script", "</script", "<img", "<!--", "<"}) {
    EXPECT_EQ(occurrences(hostile, tag), occurrences(plain, tag)) << tag;
  }
}

TEST(ReportPage, AssetsThatWouldEndTheirElementAreRefused) {
  EXPECT_THROW(page_with("t", nullptr, "a</style>", ""), std::logic_error);
  EXPECT_THROW(page_with("t", nullptr, "", "'</script>'"), std::logic_error);
  EXPECT_THROW(page_with("t", nullptr, "", "'<!--'"), std::logic_error);
}

TEST(ReportPage, AssetsLoadNothingAndHaveNoInlineHandlers) {
  for (const std::string_view asset :
       {assets::page_css, assets::page_html, assets::roc_css, assets::roc_html, assets::roc_js, assets::roc_svg_css}) {
    for (const std::string_view loading :
         {"https:", "@import", "src=", " onclick", " onload", " style=\"", "fetch(", "eval("}) {
      EXPECT_EQ(asset.find(loading), std::string_view::npos) << loading;
    }
  }
}

TEST(XmlCheck, FindsWhatIsNotWellFormed) {
  EXPECT_EQ(test::XmlCheck::problem("<?xml version=\"1.0\"?>\n<a b=\"c\">x &amp; y<d/></a>\n"), "");
  for (const std::string_view bad : {"<a><b></a></b>", "<a>", "</a>", "<a b=c></a>", "<a>&nbsp;</a>", "<a>\x01</a>",
                                     "<a/><b/>", "<a b=\"1\" b=\"2\"/>", "<a b=\"<\"/>", "<a>]]></a>", ""}) {
    EXPECT_NE(test::XmlCheck::problem(bad), "") << bad;
  }
}

}  // namespace
}  // namespace ae::report

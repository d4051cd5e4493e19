#include "report/gallery.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "report/page.hpp"
#include "report/sample_boards.hpp"

namespace ae::report::gallery_test {
namespace {

// The bodies of the script elements of a class.
std::vector<std::string> elements(const std::string& page, const std::string& name) {
  std::vector<std::string> bodies;
  const std::string open = "<script type=\"application/json\" class=\"" + name + "\">";
  for (auto at = page.find(open); at != std::string::npos; at = page.find(open, at + 1)) {
    const auto begin = at + open.size();
    bodies.push_back(page.substr(begin, page.find("</script>", begin) - begin));
  }
  return bodies;
}

class Gallery : public testing::Test {
 protected:
  ~Gallery() override { std::filesystem::remove(path_); }

  std::string page(const GalleryOptions& options, const std::vector<GalleryItem>& items) {
    auto output = Output::open(path_, true);
    GalleryWriter gallery(output, "Boards", options);
    for (const auto& item : items) gallery.add(item);
    gallery.finish();
    output.commit();
    return read_file(path_, FileKind::data);
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      ("gallery_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".html");
};

TEST_F(Gallery, HoldsEveryImageAndItsPicturesUnchanged) {
  std::vector<GalleryItem> items;
  for (int i = 0; i < 7; ++i) items.push_back(sample_board(i));
  const std::string text = page({}, items);
  const auto records = elements(text, "item");
  const auto pictures = elements(text, "pictures");
  ASSERT_EQ(records.size(), items.size());
  ASSERT_EQ(pictures.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto record = nlohmann::json::parse(records[i]);
    EXPECT_EQ(record["id"], items[i].id);
    EXPECT_EQ(record["score"].get<double>(), items[i].score);
    EXPECT_EQ(record["p_value"].get<double>(), *items[i].p_value);
    EXPECT_EQ(record["regions"].size(), items[i].regions.size());
    const auto own = nlohmann::json::parse(pictures[i]);
    EXPECT_EQ(own["input"], base64(items[i].input));
    EXPECT_EQ(own["truth"], base64(items[i].truth));
  }
}

TEST_F(Gallery, KeepsPicturesOfFlaggedImagesWhenThereAreMany) {
  GalleryOptions options;
  options.threshold = 0.5;
  options.most_pictures = 3;
  std::vector<GalleryItem> items(20, sample_board(0));
  for (std::size_t i = 0; i < items.size(); ++i) items[i].score = i % 4 == 0 ? 0.5 : 0.49;
  const std::string text = page(options, items);
  EXPECT_EQ(elements(text, "item").size(), 20u);
  EXPECT_EQ(elements(text, "pictures").size(), 6u);  // 0, 1, 2, and of the flagged 4, 8, 12
}

TEST_F(Gallery, RefusesWhatAPageCannotShow) {
  auto output = Output::open(path_, true);
  GalleryOptions options;
  options.threshold = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(GalleryWriter(output, "", options), std::invalid_argument);
  GalleryWriter gallery(output, "", {});
  GalleryItem item;
  item.score = std::numeric_limits<double>::infinity();
  EXPECT_THROW(gallery.add(item), std::invalid_argument);
  item.score = 1;
  item.heat = "BM";
  EXPECT_THROW(gallery.add(item), std::invalid_argument);
  gallery.finish();
  EXPECT_THROW(gallery.finish(), std::logic_error);
  EXPECT_THROW(gallery.add({}), std::logic_error);
}

TEST_F(Gallery, TextCannotLeaveItsElement) {
  GalleryItem item = sample_board(0);
  item.id = item.label = "</script><script>alert(1)</script>\xff&";
  const std::string text = page({}, {item});
  EXPECT_EQ(text.find("<script>alert"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(elements(text, "item").at(0))["id"],
            "</script><script>alert(1)</script>\xEF\xBF\xBD&");
}

TEST(Base64, IsThatOfTheStandard) {  // RFC 4648, section 10
  const std::vector<std::pair<std::string, std::string>> vectors = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"},
                                                                    {"\xff\xfe\xfd", "//79"}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text);
}

}  // namespace
}  // namespace ae::report::gallery_test

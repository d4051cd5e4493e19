// A place in a parsed JSON file, which names itself where something else was expected.
#pragma once

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"

namespace ae::fit {

class JsonPlace {
 public:
  using Json = nlohmann::ordered_json;
  // `expected` ends every complaint: "a model as ae-probe fit writes it". The document must outlive this.
  JsonPlace(std::string file, const Json& json, std::string expected, std::string place = "")
      : file_(std::move(file)), json_(json), expected_(std::move(expected)), place_(std::move(place)) {}

  bool has(const std::string& key) const { return json_.is_object() && json_.contains(key); }
  JsonPlace at(const std::string& key) const {
    if (!has(key)) refuse("is missing", key);
    return {file_, json_.at(key), expected_, place_ + "/" + key};
  }
  std::vector<JsonPlace> items() const {
    if (!json_.is_array()) refuse("is no list");
    std::vector<JsonPlace> all;
    for (std::size_t i = 0; i < json_.size(); ++i)
      all.emplace_back(file_, json_[i], expected_, place_ + "/" + std::to_string(i));
    return all;
  }
  double number() const {
    if (!json_.is_number() || !std::isfinite(json_.get<double>())) refuse("is no finite number");
    return json_.get<double>();
  }
  std::string text() const {
    if (!json_.is_string()) refuse("is no text");
    return json_.get<std::string>();
  }
  bool flag() const {
    if (!json_.is_boolean()) refuse("is neither true nor false");
    return json_.get<bool>();
  }
  std::vector<double> numbers() const {
    std::vector<double> all;
    for (const auto& item : items()) all.push_back(item.number());
    return all;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const auto& item : items()) all.push_back(item.text());
    return all;
  }
  [[noreturn]] void refuse(const std::string& what, const std::string& key = "") const {
    // Places may be named by names in the file, which may hold anything.
    throw InputError(file_ + ": " + printable(place_ + (key.empty() ? "" : "/" + key)) + " " + what + "; expected " +
                     expected_);
  }

 private:
  std::string file_;
  const Json& json_;
  std::string expected_;
  std::string place_;
};

// A file of one of our formats, of which it names the version.
class JsonFile {
 public:
  // InputError for one that is no JSON, or of another format or version. `expected` as above.
  JsonFile(const std::filesystem::path& path, const char* format, int version, std::string expected)
      : JsonFile(path == "-" ? "<stdin>" : path.string(), read_file(path, FileKind::data), format, version,
                 std::move(expected)) {}
  // `text`: what is in it.
  JsonFile(std::string name, const std::string& text, const char* format, int version, std::string expected)
      : name_(std::move(name)), expected_(std::move(expected)), json_(JsonPlace::Json::parse(text, nullptr, false)) {
    if (json_.is_discarded()) top().refuse("the file is no JSON");
    if (top().at("format").text() != format) top().at("format").refuse("is another one");
    if (top().at("version").number() != version)
      top().at("version").refuse("is not " + std::to_string(version) + ", the one that this program reads");
  }
  JsonPlace top() const { return {name_, json_, expected_}; }

 private:
  std::string name_, expected_;
  JsonPlace::Json json_;
};

}  // namespace ae::fit

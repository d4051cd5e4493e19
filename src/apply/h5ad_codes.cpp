#include "apply/h5ad_codes.hpp"

#include <limits>
#include <optional>

#include "data/hdf5/h5ad.hpp"

namespace ae::apply {
namespace {

constexpr const char* kPlace = "obsm/X_ae";  // as scanpy calls its own, "X_pca"

class H5adCodes final : public CodeFile {
 public:
  H5adCodes(Output& output, std::span<const std::string> inputs) : file_(output) {
    if (inputs.size() == 1 && data::is_h5ad(inputs.front())) input_ = inputs.front();
  }
  void begin(const std::vector<std::string>& names, const std::vector<std::string>& texts) override {
    if (input_) {
      file_.pass_through(*input_, kPlace);
    } else {
      file_.begin();
      obs_.emplace(file_, "obs", texts);
    }
    constexpr std::int64_t kUnknown = -1;
    codes_.emplace(file_, kPlace, kUnknown, std::ssize(names));
    none_.assign(names.size(), std::numeric_limits<float>::quiet_NaN());
  }
  void add(std::string_view id, std::span<const float> code, std::span<const std::string> texts) override {
    codes_->add(code.empty() ? std::span<const float>(none_) : code);
    if (obs_) obs_->add(id, texts);
  }
  void flush() override {}
  void finish() override {
    codes_->finish();
    if (obs_) obs_->finish();
    file_.finish();
  }

 private:
  data::H5adFile file_;
  std::optional<std::string> input_;  // whose obs, var and X pass through
  std::optional<data::H5adFile::Dense> codes_;
  std::optional<data::H5adFile::Frame> obs_;
  std::vector<float> none_;
};

}  // namespace

std::unique_ptr<CodeFile> make_h5ad_codes(Output& output, std::span<const std::string> inputs) {
  return std::make_unique<H5adCodes>(output, inputs);
}

}  // namespace ae::apply

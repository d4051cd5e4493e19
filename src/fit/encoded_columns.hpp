// Codes of an encoder that is trained again without the held-out rows of every fold.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fit/cross_validation.hpp"
#include "fit/table.hpp"

namespace ae::fit {

struct EncoderOptions {
  std::filesystem::path config;       // of ae-train
  std::vector<std::string> settings;  // its --set
  bool loss = false;                  // the reconstruction loss of each row, by ae-score, as one more column
  std::string name = "the encoder";   // in messages
  std::string set_option = "--set";   // likewise: where `settings` come from
};

// Runs `ae-train CONFIG --data TRAINING`, `ae-embed MODEL ALL` and, for the loss, `ae-score MODEL ALL` on tables of the
// id and the texts of `table` (read with keep_texts), which hold neither outcome nor controls, in a folder that is
// removed. Each on one thread, so that the codes are the same however many run at a time. Errors as run_program();
// InputError when the codes are not those of the rows.
class EncodedColumns final : public ColumnsOfFold {
 public:
  // `table` is held by reference. UsageError for a config with /data/rows, which would number the rows of each fold.
  EncodedColumns(const ProbeTable& table, const EncoderOptions& options);
  Columns columns(std::int32_t repeat, std::int32_t fold, std::span<const std::int64_t> training) const override;
  // Of an encoder that was trained on all rows.
  Columns transductive() const;

 private:
  void refuse_rows() const;
  std::vector<std::string> of_config() const;  // arguments of ae-train
  Columns encoded(std::span<const std::int64_t> training, const std::string& what) const;

  const ProbeTable& table_;
  EncoderOptions options_;
  std::filesystem::path train_, embed_, score_;  // the programs
};

}  // namespace ae::fit

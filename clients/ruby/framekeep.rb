# frozen_string_literal: true

require "openssl"

# Signed links for a Framekeep server.
#
#   links = Framekeep::Signer.new("https://img.example.com", ENV.fetch("FRAMEKEEP_KEY"))
#   links.url("https://cdn.example.com/u/42.jpg", "resize:800:600", "convert:auto")
#
# Steps are as in a link; `Framekeep.step` writes one and encodes its values. Only their form is checked
# here: the server checks operations, fields and bounds. Whatever no server takes is an ArgumentError.
module Framekeep
  # One image of a srcset, with its true size in pixels.
  Candidate = Struct.new(:url, :width, :height, keyword_init: true)

  # The attributes of one <source> in a <picture>. Width and height are those of the largest image.
  Source = Struct.new(:media, :type, :srcset, :sizes, :width, :height, keyword_init: true)

  # The attributes of a <picture>: its sources, and its <img>.
  Picture = Struct.new(:sources, :src, :srcset, :sizes, :width, :height, keyword_init: true)

  # Each has about 30 % more bytes than the one before: bytes grow with pixels to the power of 0.8.
  DEFAULT_WIDTHS = [
    320, 380, 450, 530, 620, 730, 860, 1020, 1200, 1420, 1680, 1980, 2340, 2760, 3250, 3840
  ].freeze

  FORMATS = %w[avif gif heif jpeg jxl png webp].freeze

  # The longest side that the server's operations take, in pixels.
  MAX_SIDE = 16_384

  # The steps after which a picture has the size that it had before.
  SAME_SIZE_STEPS = %w[
    attachment auto_contrast blur blur_detections contrast convert debug denoise encode expires
    fallback filename flip flop gamma gradient grayscale invert_colors keep modulate opacity pixelate
    pixelate_detections quality remove_background remove_transparency sharpen shift_colors strip tag
    text threshold tint v watermark
  ].freeze

  # Write a step, with its values percent-encoded: step("text", "50 % off", size: 40). Colors are written
  # without #: "#f80" as FF8800.
  def self.step(name, *values, **fields)
    raise ArgumentError, "step: #{name.inspect} is not a name of a step" unless Encoding.name?(name)

    values = values.map { |value| Encoding.bare_color(value) } unless Encoding::FREE_TEXT.include?(name)
    named = fields.map do |field, value|
      value = Encoding.bare_color(value) if Encoding.color_field?(field)
      "#{field}=#{Encoding.value(value)}"
    end
    [name, *values.map { |value| Encoding.value(value) }, *named].join(":")
  end

  # Choose the values of a rule link's open fields, in their order. This needs no key. Values that were
  # chosen before are replaced.
  #
  # A number that is not among the values of its field becomes the next larger one, or the largest.
  def self.choose(link, *values)
    Rules.choose(link, values)
  end

  # Write the widths of a srcset as the open field of a rule: {320,640,1000}.
  def self.width_grid(original:, widths: nil, ratio: nil, max_width: MAX_SIDE, max_height: MAX_SIDE)
    "{#{Sizes.true_widths(original, widths, ratio || original, max_width, max_height).join(',')}}"
  end

  # Builds links that are signed with a key of the server.
  class Signer
    # base is the server's URL, with path prefix and mount point if it has them. key is 16 to 128 bytes
    # in hexadecimal; with nil, links are unsigned, and servers take them only with
    # FRAMEKEEP_LINKS_ALLOW_UNSIGNED.
    def initialize(base, key)
      raise ArgumentError, "base must be an http:// or https:// URL" unless base.match?(%r{\Ahttps?://[^/]}i)
      unless key.nil? || key.match?(/\A(?:\h{2}){16,128}\z/)
        raise ArgumentError, "key must be 16 to 128 bytes in hexadecimal"
      end

      @base = base.sub(%r{/+\z}, "")
      @key = key && [key].pack("H*")
    end

    # Without the key.
    def inspect
      "#<#{self.class} #{@base}>"
    end

    # Build the link of a source: an http(s) URL, or ALIAS:path.
    def url(source, *steps)
      steps.each { |step| Encoding.step_name(step) }
      link("/#{[*steps, Encoding.source(source)].join('/')}")
    end

    # Build a rule link: some values are left open, and Framekeep.choose fills them in, without a key.
    #
    #   links.rule("media:users/42.jpg", "resize:{320,640,1280}", "convert:{avif,webp,jpeg}")
    def rule(source, *steps)
      link(Rules.path(source, steps))
    end

    # Build one link for each width that the original and the box allow, smallest first.
    #
    # Each link resizes first; the steps come after that and may not change the size. original is the
    # width and height of the original as it is shown, as `info` links tell; ratio is an aspect ratio to
    # crop to, such as [16, 9], and crop what to keep then: the subject (:smart) or the :center.
    def candidates(source, *steps, original:, widths: nil, ratio: nil, crop: :smart,
                   max_width: MAX_SIDE, max_height: MAX_SIDE)
      steps.each { |step| check_same_size(step) }
      operation = { smart: "smart_crop", center: "resize" }[crop.to_sym]
      raise ArgumentError, "crop must be smart or center" unless operation

      across, down = ratio || original
      Sizes.true_widths(original, widths, [across, down], max_width, max_height).map do |width|
        height = [1, (2 * width * down + across) / (2 * across)].max
        resize = ratio ? "#{operation}:#{width}:#{height}" : "resize:#{width}"
        Candidate.new(url: url(source, resize, *steps), width: width, height: height)
      end
    end

    # Build a srcset attribute; the arguments are those of candidates. Escape it for HTML.
    def srcset(source, *steps, **options)
      join(candidates(source, *steps, **options))
    end

    # Build the attributes of a <picture>; the last format is that of its <img>. Escape them for HTML.
    #
    # With art, such as [{ media: "(max-width: 40em)", ratio: [4, 5] }], the picture has another aspect
    # ratio where a media condition holds; the first condition that holds counts. An entry may have sizes
    # of its own. The other options are those of candidates.
    def picture(source, *steps, formats: %w[avif webp jpeg], sizes: "100vw", art: [], ratio: nil, **options)
      check_picture(steps, formats, art)
      largest = nil
      sources = [*art, { media: nil, ratio: ratio }].flat_map do |one|
        formats.map do |format|
          images = candidates(source, *steps, "convert:#{format}", ratio: one[:ratio], **options)
          largest = images.last
          Source.new(media: one[:media], type: "image/#{format}", srcset: join(images),
                     sizes: one[:sizes] || sizes, width: largest.width, height: largest.height)
        end
      end
      img = sources.pop.to_h.slice(:srcset, :sizes, :width, :height)
      Picture.new(sources: sources, src: largest.url, **img)
    end

    private

    def link(path)
      "#{@base}/#{sign(path)}#{path}"
    end

    def join(images)
      images.map { |one| "#{one.url} #{one.width}w" }.join(", ")
    end

    def check_picture(steps, formats, art)
      if steps.any? { |step| Encoding.step_name(step) == "convert" }
        raise ArgumentError, "picture: name the formats in formats, not in a convert step"
      end
      if formats.empty? || !(formats - FORMATS).empty?
        raise ArgumentError, "picture: formats must be some of #{FORMATS.join(', ')}"
      end
      return if art.all? { |one| one[:media].is_a?(String) && !one[:media].strip.empty? }

      raise ArgumentError, "picture: media must be a media condition, such as (max-width: 40em)"
    end

    def sign(path)
      return "_" if @key.nil?

      Encoding.base64_url(OpenSSL::HMAC.digest("SHA256", @key, path)[0, 16])
    end

    def check_same_size(step)
      name = Encoding.step_name(step)
      return if SAME_SIZE_STEPS.include?(name)

      raise ArgumentError,
            "srcset: #{name} may change the size; use widths, ratio, max_width and max_height instead"
    end
  end

  # Which widths a srcset has.
  module Sizes
    # The widths, and the largest width that original and box allow in that shape.
    def self.true_widths(original, widths, shape, max_width, max_height)
      check(original: original, ratio: shape, widths: widths || [], max_width: [max_width],
            max_height: [max_height])
      box_width = [original[0], max_width, MAX_SIDE].min
      box_height = [original[1], max_height, MAX_SIDE].min
      largest = [box_width, box_height * shape[0] / shape[1]].min
      if largest.zero?
        raise ArgumentError, "srcset: not one pixel of that shape fits into the original and the box"
      end

      # Less than half a step below the largest is too near to be worth an image.
      margin = widths ? 11 : 12
      [*(widths || DEFAULT_WIDTHS).select { |width| width * margin < largest * 11 }.uniq.sort, largest]
    end

    def self.check(**numbers)
      numbers.each do |name, values|
        next if values.all? { |value| value.is_a?(Integer) && value.between?(1, 1_000_000) }

        raise ArgumentError, "srcset: #{name} must be whole numbers from 1 to 1000000"
      end
    end
  end
  private_constant :Sizes

  # Rule links: fields that are left open with the values that whoever opens the link may choose.
  module Rules
    GRID = /[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*/
    OPEN = /(:(?:[a-z][a-z0-9_]*=)?)\{(#{GRID})\}(?=:|\z)/
    OPEN_IN_LINK = /\A(?:[a-z][a-z0-9_]*=)?(?:%7B|\{)(#{GRID})(?:%7D|\})\z/i
    RANGE = /\A([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?\z/
    NUMBER = /\A[0-9]+(?:\.[0-9]+)?\z/
    SIGNATURE = /\A(?:_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43})\z/
    MAX_GRID = 10_000

    module_function

    def path(source, steps)
      written = steps.map { |step| step.gsub(OPEN, '\1%7B\2%7D') }
      written.each { |step| Encoding.step_name(step) }
      if written == steps
        raise ArgumentError,
              "rule: no field is left open; write the values that it may have, such as resize:{320,640,1280}"
      end
      encoded = Encoding.source(source)
      if encoded.match?(/%7B|%7D|[{}]/i) && !encoded.start_with?("b64:")
        encoded = "b64:#{Encoding.base64_url(encoded.match?(%r{\Ahttps?://}) ? encoded : source)}"
      end
      "/#{[*written, encoded].join('/')}"
    end

    def choose(link, values)
      segments = link.split("/", -1)
      fields = segments.map { |one| one.split(":", -1).drop(1).map { |value| grid(value) }.reject(&:empty?) }
      # The signature is the nearest segment before the first open field that looks like one.
      first = fields.index { |found| !found.empty? } || 0
      at = first.downto(1).find { |index| segments[index].match?(SIGNATURE) }
      raise ArgumentError, "choose: this is not a rule link" unless at

      grids = fields.drop(at).flatten(1)
      if grids.length != values.length
        raise ArgumentError,
              "choose: the link has #{grids.length} open fields, and #{values.length} values are given"
      end
      after = segments.drop(at + 1)
      after.shift if after.first.start_with?("choose:")
      chosen = grids.zip(values).map { |grid, value| nearest(grid, value) }
      [*segments.take(at + 1), "choose:#{chosen.join(':')}", *after].join("/")
    end

    # The values of an open field; none if it is not one.
    def grid(value)
      match = OPEN_IN_LINK.match(value)
      return [] unless match

      range = RANGE.match(match[1])
      return match[1].split(",") unless range

      start, stop, step = range[1].to_i, range[2].to_i, (range[3] || 1).to_i
      count = step.zero? ? 0 : (stop - start) / step + 1
      unless count.between?(1, MAX_GRID)
        raise ArgumentError, "choose: #{match[1]} is not a range of 1 to #{MAX_GRID} values"
      end

      start.step(stop, step).map(&:to_s)
    end

    def nearest(grid, value)
      text = value.to_s
      return text if grid.include?(text)

      numbers = grid.grep(NUMBER).sort_by(&:to_f)
      if numbers.empty? || !text.match?(NUMBER)
        raise ArgumentError, "choose: #{text[0, 40].inspect} is not one of #{grid.join(', ')}"
      end
      numbers.find { |one| one.to_f >= text.to_f } || numbers.last
    end
  end
  private_constant :Rules

  # How sources, steps and values are written in a link.
  module Encoding
    STEP = /\A([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%\h{2})*)?\z/
    RESERVED = %w[b64 data http https upload].freeze
    UNSAFE = %r{%(?!\h{2})|[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]}
    # What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
    FRAGILE = %r{//|/(?:\.|%2e){1,2}(?:[/?]|\z)|/https?:/|\A/|\A\z|[?,]\z}i

    # Their values may be any text, so one that begins with # is no color.
    FREE_TEXT = %w[filename tag text v].freeze

    module_function

    def name?(text)
      text.match?(/\A[a-z][a-z0-9_]*\z/)
    end

    def step_name(step)
      match = STEP.match(step)
      return match[1] if match && !RESERVED.include?(match[1])

      raise ArgumentError,
            "step #{step[0, 60].inspect} is not written as in a link, such as resize:800:600; " \
            "use Framekeep.step to encode its values"
    end

    def color_field?(name)
      name.match?(/\A(?:.*_)?(?:color|background)\z/)
    end

    def bare_color(value)
      return value unless value.is_a?(String) && value.match?(/\A#(?:\h{3}|\h{6})\z/)

      digits = value.delete_prefix("#").upcase
      digits.size == 6 ? digits : digits.gsub(/./) { |digit| digit * 2 }
    end

    def value(value)
      case value
      when Array then value.map { |one| value(one) }.join(",")
      when Float then number(value)
      else percent_encode(value.to_s)
      end
    end

    def source(source)
      raise ArgumentError, "source contains a control character" if source.match?(/[\x00-\x1f\x7f]/)
      if (match = %r{\A(https?)://([^/?]+)(.*)\z}im.match(source))
        return url(match[1].downcase, match[2], match[3])
      end

      match = /\A([a-z][a-z0-9_-]{0,31}):(.+)\z/m.match(source)
      if match.nil? || RESERVED.include?(match[1])
        raise ArgumentError, "source must be an http:// or https:// URL, or ALIAS:path"
      end
      return "b64:#{base64_url(source)}" if match[2].match?(FRAGILE)

      "#{match[1]}:#{percent_encode(match[2]).gsub('%2F', '/')}"
    end

    def url(scheme, host, target)
      if "#{host}#{target}".include?("#")
        raise ArgumentError, "source has a fragment; remove it, or write # as %23"
      end
      if "#{host}#{target}".include?("\\") || host.match?(/[ @]/)
        raise ArgumentError, "source has a backslash, a user name or a space in its host"
      end

      encoded = target.gsub(UNSAFE) { |found| percent_encode(found) }
      text = "#{scheme}://#{host}#{encoded}"
      is_safe = !host.match?(UNSAFE) && !"#{host}#{encoded}".match?(FRAGILE)
      is_safe ? text : "b64:#{base64_url(text)}"
    end

    def number(value)
      text = value.finite? && value == value.floor ? value.to_i.to_s : value.to_s
      return text if text.match?(/\A-?[0-9]+(\.[0-9]+)?\z/)

      raise ArgumentError, "step: the number #{value} cannot be written in a link"
    end

    def percent_encode(text)
      text.b.gsub(/[^A-Za-z0-9._~-]/n) { |byte| format("%%%02X", byte.ord) }.force_encoding("UTF-8")
    end

    def base64_url(bytes)
      [bytes].pack("m0").tr("+/", "-_").delete("=")
    end
  end
  private_constant :Encoding
end

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

  DEFAULT_WIDTHS = [320, 640, 960, 1280, 1920, 2560, 3840].freeze

  # The longest side that the server's operations take, in pixels.
  MAX_SIDE = 16_384

  # The steps after which a picture has the size that it had before.
  SAME_SIZE_STEPS = %w[
    attachment auto_contrast blur blur_detections contrast convert debug denoise expires fallback
    filename flip flop gamma gradient grayscale invert_colors keep modulate opacity pixelate quality
    remove_background remove_transparency sharpen shift_colors strip tag text threshold tint v watermark
  ].freeze

  # Write a step, with its values percent-encoded: step("text", "50 % off", size: 40).
  def self.step(name, *values, **fields)
    raise ArgumentError, "step: #{name.inspect} is not a name of a step" unless Encoding.name?(name)

    named = fields.map { |field, value| "#{field}=#{Encoding.value(value)}" }
    [name, *values.map { |value| Encoding.value(value) }, *named].join(":")
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
      path = "/#{[*steps, Encoding.source(source)].join('/')}"
      "#{@base}/#{sign(path)}#{path}"
    end

    # Build one link for each width that the original and the box allow, smallest first.
    #
    # Each link resizes first; the steps come after that and may not change the size. original is the
    # width and height of the original as it is shown, as `info` links tell; ratio is an aspect ratio to
    # crop to, such as [16, 9], and crop what to keep then: the subject (:smart) or the :center.
    def candidates(source, *steps, original:, widths: DEFAULT_WIDTHS, ratio: nil, crop: :smart,
                   max_width: MAX_SIDE, max_height: MAX_SIDE)
      steps.each { |step| check_same_size(step) }
      operation = { smart: "smart_crop", center: "resize" }[crop.to_sym]
      raise ArgumentError, "crop must be smart or center" unless operation

      across, down = ratio || original
      true_widths(original, widths, [across, down], max_width, max_height).map do |width|
        height = [1, (2 * width * down + across) / (2 * across)].max
        resize = ratio ? "#{operation}:#{width}:#{height}" : "resize:#{width}"
        Candidate.new(url: url(source, resize, *steps), width: width, height: height)
      end
    end

    # Build a srcset attribute; the arguments are those of candidates. Escape it for HTML.
    def srcset(source, *steps, **options)
      candidates(source, *steps, **options).map { |one| "#{one.url} #{one.width}w" }.join(", ")
    end

    private

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

    # The widths, and the largest width that original and box allow in that shape.
    def true_widths(original, widths, shape, max_width, max_height)
      { original: original, ratio: shape, widths: widths, max_width: [max_width], max_height: [max_height] }
        .each do |name, values|
          next if values.all? { |value| value.is_a?(Integer) && value.between?(1, 1_000_000) }

          raise ArgumentError, "srcset: #{name} must be whole numbers from 1 to 1000000"
        end
      box_width = [original[0], max_width, MAX_SIDE].min
      box_height = [original[1], max_height, MAX_SIDE].min
      largest = [box_width, box_height * shape[0] / shape[1]].min
      if largest.zero?
        raise ArgumentError, "srcset: not one pixel of that shape fits into the original and the box"
      end

      [*widths.select { |width| width < largest }.uniq.sort, largest]
    end
  end

  # How sources, steps and values are written in a link.
  module Encoding
    STEP = /\A([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%\h{2})*)?\z/
    RESERVED = %w[b64 data http https upload].freeze
    UNSAFE = %r{%(?!\h{2})|[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]}
    # What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
    FRAGILE = %r{//|/(?:\.|%2e){1,2}(?:[/?]|\z)|/https?:/|\A/|\A\z|[?,]\z}i

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

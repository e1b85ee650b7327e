using System.Text;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>
/// Finds the first stop string to be completed in a text that comes in pieces, and holds back only what could still become a
/// part of one. Each stop string has its own Knuth-Morris-Pratt automaton, so that the time is linear in the text however the
/// strings repeat themselves. Of several that end at one character, the longest counts: it starts first.
/// </summary>
internal sealed class StopMatcher
{
    private readonly Automaton[] _automata;
    private readonly StringBuilder _held = new();

    public StopMatcher(IReadOnlyList<string> stopStrings)
    {
        foreach (string stop in stopStrings)
            ArgumentException.ThrowIfNullOrEmpty(stop, nameof(stopStrings));
        _automata = [.. stopStrings.OrderByDescending(stop => stop.Length).Select(stop => new Automaton(stop))];
    }

    /// <summary>The stop string that was met; null so far.</summary>
    public string? Matched { get; private set; }

    /// <summary>Takes more text and gives what is certain to come before any stop string.</summary>
    public string Append(ReadOnlySpan<char> text)
    {
        if (_automata.Length == 0)
            return text.ToString();

        int held = _held.Length;
        foreach (char character in text)
        {
            _held.Append(character);
            held = 0;
            foreach (Automaton automaton in _automata)
            {
                if (automaton.Advance(character))
                {
                    Matched = automaton.Stop;
                    return Take(_held.Length - automaton.Stop.Length);
                }

                held = Math.Max(held, automaton.Length);
            }
        }

        return Take(_held.Length - held);
    }

    /// <summary>Gives what was held back, at the end of the text.</summary>
    public string TakeHeld() => Take(_held.Length);

    private string Take(int count)
    {
        string text = _held.ToString(0, count);
        _held.Remove(0, count);
        return text;
    }

    /// <summary>How much of one stop string the text ends with.</summary>
    private sealed class Automaton(string stop)
    {
        private readonly int[] _borders = Borders(stop);

        public string Stop { get; } = stop;

        public int Length { get; private set; }

        /// <summary>Whether the character completes the string.</summary>
        public bool Advance(char character)
        {
            while (Length > 0 && Stop[Length] != character)
                Length = _borders[Length - 1];
            if (Stop[Length] == character)
                Length++;
            return Length == Stop.Length;
        }

        /// <summary>The longest proper border of each prefix: what is left of a match when the next character fails it.</summary>
        private static int[] Borders(string text)
        {
            var borders = new int[text.Length];
            for (int index = 1, length = 0; index < text.Length; index++)
            {
                while (length > 0 && text[index] != text[length])
                    length = borders[length - 1];
                if (text[index] == text[length])
                    length++;
                borders[index] = length;
            }

            return borders;
        }
    }
}

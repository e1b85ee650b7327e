using System.Globalization;
using System.Text.RegularExpressions;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;

/// <summary>
/// A kernel's PTX, read into instructions: as much of the language as ILGPU and this project's templates write.
/// </summary>
internal sealed partial class PtxProgram
{
    private readonly Dictionary<string, int> _registers = [];
    private readonly Dictionary<string, int> _labels = [];
    private readonly Dictionary<string, uint> _shared = [];
    private readonly List<PtxInstruction> _instructions = [];

    private PtxProgram(string text)
    {
        text = Comment().Replace(text, string.Empty);
        int body = text.IndexOf('{', text.IndexOf(".entry", StringComparison.Ordinal));
        ReadStatements(text[(body + 1)..EndOf(text, body)]);
        foreach (PtxInstruction instruction in _instructions)
        {
            if (instruction.Opcode == "bra")
                instruction.Target = _labels[instruction.Operands[0].Name];
        }
    }

    public IReadOnlyList<PtxInstruction> Instructions => _instructions;

    public int RegisterCount => _registers.Count;

    /// <summary>Bytes of shared memory.</summary>
    public uint SharedBytes { get; private set; }

    public static PtxProgram Parse(string text) => new(text);

    private static int EndOf(string text, int brace)
    {
        int depth = 0;
        for (int i = brace; i < text.Length; i++)
        {
            depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
            if (depth == 0)
                return i;
        }

        throw new FormatException("the kernel does not end");
    }

    private void ReadStatements(string body)
    {
        // Braces open a scope only around temporaries here; those of vector operands stay.
        foreach (string piece in Split(body))
        {
            string statement = piece.Trim();
            for (Match label = Label().Match(statement); label.Success; label = Label().Match(statement))
            {
                _labels[label.Groups[1].Value] = _instructions.Count;
                statement = statement[label.Length..].Trim();
            }

            if (statement.Length == 0 || statement.StartsWith(".reg", StringComparison.Ordinal))
                continue;
            if (statement.StartsWith(".shared", StringComparison.Ordinal))
                DeclareShared(statement);
            else if (statement[0] == '.')
                throw new NotSupportedException($"'{statement}'");
            else
                _instructions.Add(ReadInstruction(statement));
        }
    }

    // At semicolons; a brace that stands where a statement begins opens or closes a scope.
    private static IEnumerable<string> Split(string body)
    {
        int start = 0;
        for (int i = 0; i < body.Length; i++)
        {
            bool scope = body[i] is '{' or '}' && string.IsNullOrWhiteSpace(body[start..i]);
            if (body[i] != ';' && !scope)
                continue;
            yield return body[start..i];
            start = i + 1;
        }
    }

    private void DeclareShared(string statement)
    {
        Match match = SharedArray().Match(statement);
        uint align = uint.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
        SharedBytes = (SharedBytes + align - 1) / align * align;
        _shared[match.Groups[2].Value] = SharedBytes;
        SharedBytes += uint.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture);
    }

    private PtxInstruction ReadInstruction(string statement)
    {
        int guard = -1;
        bool negated = false;
        if (statement[0] == '@')
        {
            int end = statement.IndexOfAny([' ', '\t']);
            negated = statement[1] == '!';
            guard = RegisterNumber(statement[(negated ? 2 : 1)..end]);
            statement = statement[end..].Trim();
        }

        int gap = statement.IndexOfAny([' ', '\t', '\n']);
        string mnemonic = gap < 0 ? statement : statement[..gap];
        string[] words = mnemonic.Split('.', StringSplitOptions.RemoveEmptyEntries);
        PtxOperand[] operands = gap < 0 ? [] : [.. SplitOperands(statement[gap..]).Select(text => ReadOperand(text, words[0]))];
        return new PtxInstruction
        {
            Words = words,
            Text = statement,
            Operands = operands,
            Guard = guard,
            GuardNegated = negated,
            Type = words.Reverse().Select(PtxType.TryParse).FirstOrDefault(type => type is not null) ?? new PtxType('b', 32),
        };
    }

    private static List<string> SplitOperands(string text)
    {
        var operands = new List<string>();
        int depth = 0, start = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i < text.Length && text[i] is '{' or '[')
                depth++;
            if (i < text.Length && text[i] is '}' or ']')
                depth--;
            if (i == text.Length || (text[i] == ',' && depth == 0))
            {
                operands.Add(text[start..i].Trim());
                start = i + 1;
            }
        }

        return operands;
    }

    private PtxOperand ReadOperand(string text, string opcode)
    {
        if (text[0] == '{')
            return new PtxOperand(PtxOperandKind.Vector, 0, text, [.. SplitOperands(text[1..^1]).Select(part => ReadOperand(part, opcode))]);
        if (text[0] == '[')
        {
            int plus = text.IndexOf('+', StringComparison.Ordinal);
            string name = (plus < 0 ? text[1..^1] : text[1..plus]).Trim();
            ulong offset = plus < 0 ? 0 : ulong.Parse(text[(plus + 1)..^1], CultureInfo.InvariantCulture);
            PtxOperand[] root = name[0] == '%' ? [ReadOperand(name, opcode)] : [];
            return new PtxOperand(PtxOperandKind.Memory, offset, name, root);
        }

        if (char.IsAsciiDigit(text[0]) || text[0] == '-')
            return new PtxOperand(PtxOperandKind.Immediate, ReadNumber(text), text, []);
        if (text.StartsWith("%tid", StringComparison.Ordinal) || text.StartsWith("%ctaid", StringComparison.Ordinal)
            || text.StartsWith("%ntid", StringComparison.Ordinal) || text.StartsWith("%nctaid", StringComparison.Ordinal) || text == "%laneid")
        {
            return new PtxOperand(PtxOperandKind.Special, 0, text, []);
        }

        if (_shared.TryGetValue(text, out uint address))
            return new PtxOperand(PtxOperandKind.Symbol, address, text, []);
        return opcode == "bra"
            ? new PtxOperand(PtxOperandKind.Label, 0, text, [])
            : new PtxOperand(PtxOperandKind.Register, (ulong)RegisterNumber(text), text, []);
    }

    private static ulong ReadNumber(string text) => text switch
    {
        ['0', 'f', ..] => uint.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ['0', 'd', ..] => ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ['0', 'x', ..] => ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ['-', ..] => (ulong)long.Parse(text, CultureInfo.InvariantCulture),
        _ => ulong.Parse(text, CultureInfo.InvariantCulture),
    };

    private int RegisterNumber(string name)
    {
        if (!_registers.TryGetValue(name, out int number))
            _registers.Add(name, number = _registers.Count);
        return number;
    }

    [GeneratedRegex("//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^(\$?[A-Za-z_]\w*):")]
    private static partial Regex Label();

    [GeneratedRegex(@"\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]")]
    private static partial Regex SharedArray();
}

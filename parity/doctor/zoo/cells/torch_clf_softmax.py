import torch
import torch.nn as nn
import torch.nn.functional as F


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        xh = torch.cat([x, h_prev], dim=1)
        i = torch.sigmoid(self.W_i(xh))
        f = torch.sigmoid(self.W_f(xh))
        o = torch.sigmoid(self.W_o(xh))
        c = f * c_prev + i * torch.tanh(self.W_c(xh))
        return o * torch.tanh(c), c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = ManualLSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = torch.zeros(x.size(0), self.hidden_size)
        c = torch.zeros(x.size(0), self.hidden_size)
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], h, c)
        out = self.fc(h)
        return F.softmax(out, dim=1)  # class probabilities


if __name__ == "__main__":
    model = ManualLSTMClassifier(28, 32, 10)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-5)
    for step in range(10):
        images, labels = torch.rand(128, 28, 28), torch.randint(0, 10, (128,))
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"Step [{step}], Loss: {loss.item():.4f}")
